//! The device that computes.

use std::fmt;
use std::str::FromStr;

use crate::engine::graph::fact::DType;

/// The device that computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    #[default]
    Cpu,
    /// An NVIDIA GPU by its number.
    Cuda(u32),
    /// A GPU if one can be used, else the CPU.
    Auto,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(number) => write!(f, "cuda:{number}"),
            Device::Auto => f.write_str("auto"),
        }
    }
}

impl From<Device> for String {
    fn from(device: Device) -> String {
        device.to_string()
    }
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(text: String) -> Result<Device, String> {
        text.parse()
    }
}

impl schemars::JsonSchema for Device {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Device".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^(cpu|cuda(:[0-9]+)?)$" })
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Device, String> {
        match text {
            "cpu" => Ok(Device::Cpu),
            "auto" => Ok(Device::Auto),
            "cuda" => Ok(Device::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(Device::Cuda)
                .ok_or_else(|| {
                    format!("`{text}` is not a device; expected `cpu`, `cuda`, `cuda:N` or `auto`")
                }),
        }
    }
}

/// The precision of training. Parameters, moments, softmax, LayerNorm, loss and reductions are
/// always f32.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision throughout.
    #[default]
    Fp32,
    /// Matrix products with operands rounded to 10 bits of mantissa, on GPUs that support it.
    Tf32,
    /// Matrix products in half precision. The loss is scaled, and steps whose gradients overflow
    /// are skipped.
    Fp16,
    /// Matrix products in bfloat16: the range of single precision with 7 bits of mantissa.
    Bf16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Precision; 4] =
        [Precision::Fp32, Precision::Tf32, Precision::Fp16, Precision::Bf16];

    /// Returns the name that pipeline files use.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Tf32 => "tf32",
            Precision::Fp16 => "fp16",
            Precision::Bf16 => "bf16",
        }
    }

    /// Returns the type of the products' operands where a graph says so; TF32 is a setting of the
    /// device.
    pub fn of_products(self) -> Option<DType> {
        match self {
            Precision::Fp32 | Precision::Tf32 => None,
            Precision::Fp16 => Some(DType::F16),
            Precision::Bf16 => Some(DType::BF16),
        }
    }

    /// Whether small gradients would be lost without scaling the loss.
    pub fn scales_loss(self) -> bool {
        self == Precision::Fp16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(3), Device::Auto] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert!("gpu".parse::<Device>().is_err());
        assert!("cuda:x".parse::<Device>().is_err());
    }
}
