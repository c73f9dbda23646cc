//! `pipe report`: one file with everything in it, as a reader and as a browser see it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fs_err as fs;
use pipe::report::policy::source;
use pipe::results::results::ResultTable;
use pipe::results::row::ResultRow;
use serde_json::{Value, json};

use super::project::{Project, TestError, data, skipped};

/// A label that would be a program if it were not written as text.
const LABEL: &str = "<script>bad()</script>";

/// Runs three recipes for three seeds and writes the report.
fn reported() -> Result<(Project, PathBuf), TestError> {
    let model = data("tiny-bert");
    let mut pipeline = "\
version: 1
name: few-texts
stages:
  data: { load: { path: texts.csv, split: { test: 0.3, dev: 0.1 } } }
"
    .to_owned();
    for (name, rate) in
        [("slow", "1e-5"), ("usual", "1e-3"), ("fast_with_a_name_that_is_rather_long", "5e-3")]
    {
        pipeline += &format!(
            "  {name}: {{ train: {{ data: data, model: {{ pretrained: {model} }}, epochs: 3, \
             optimizer: {{ adamw: {{ learning_rate: {rate} }} }} }} }}\n  {name}_score: {{ \
             evaluate: {{ model: {name}, data: data, split: test }} }}\n"
        );
    }
    let project = Project::with(80, &pipeline)?;
    let texts = fs::read_to_string(project.path("texts.csv"))?;
    project.write("texts.csv", &texts.replace("positive", LABEL))?;
    project.run(&["--threads", "1", "--seeds", "1,2,3"])?;
    let said = project.pipe(&["report"])?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let path = PathBuf::from(said.out.trim_end());
    assert_eq!(said.out.lines().count(), 1, "{}", said.out);
    assert!(said.err.starts_with("report of 3 recipes by macro_f1 on test: "), "{}", said.err);
    Ok((project, path))
}

#[test]
fn a_report_has_all_that_a_run_left() -> Result<(), TestError> {
    let (project, path) = reported()?;
    let run = project.provenance()?["run"].as_str().ok_or("no name")?.to_owned();
    assert_eq!(
        fs::canonicalize(&path)?,
        fs::canonicalize(project.path("runs/latest"))?.join("report.html")
    );
    let page = fs::read_to_string(&path)?;
    for id in ["results", "intervals", "ranks", "curves", "classes", "provenance"] {
        assert!(page.contains(&format!(" id=\"{id}\"")), "{id}");
    }
    assert!(!page.contains("id=\"search\""), "there was no sweep");
    assert!(
        page.contains(&run) && page.contains("few-texts") && page.contains("<b>slow_score</b>")
    );
    // The curves are those of what the recipes evaluate.
    assert!(page.contains("slow_score, seed 1") && page.contains("dev macro F1"));
    assert!(!page.contains(LABEL), "a label is text");
    assert!(page.contains("&lt;script&gt;bad()&lt;/script&gt;"));
    // What was run, and with what.
    assert!(page.contains("adamw") && page.contains("tiny-bert") && page.contains("texts.csv"));
    for foreign in ["http:", "https:", " src=", "url("] {
        assert!(!page.contains(foreign), "`{foreign}`");
    }
    // The same again is the same file, wherever it is written to.
    let said = project.pipe(&["report", "latest", "-o", "there/x.html"])?;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "there/x.html\n"), "{}", said.err);
    assert!(fs::read_to_string(project.path("there/x.html"))? == page);
    let table = project.path("runs/latest/results.csv");
    let said = project.pipe(&["report", &table.display().to_string(), "-q", "-o", "csv.html"])?;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    Ok(())
}

/// Writes the table of a sweep of so many trials, some of which failed or were stopped, and reports
/// on it.
fn swept(project: &Project, trials: u64) -> Result<PathBuf, TestError> {
    let row = |trial: u64| {
        let rate = 10f64.powf(-6.0 + 3.0 * (trial as f64 * 0.618).fract());
        let (failed, stopped) = (trial % 20 == 7, trial % 20 == 9);
        let score =
            0.8 - 0.05 * (rate.log10() + 4.5).powi(2) + 0.05 * (trial as f64 * 0.37).fract();
        let params = [
            ("learning_rate", json!(rate)),
            ("batch_size", json!(8 << (trial % 4))),
            ("augmentation", json!(["none", "eda", LABEL][trial as usize % 3])),
            ("epochs", json!(3)),
        ];
        ResultRow {
            run: "r".into(),
            pipeline: "sweep".into(),
            stage: "score".into(),
            trial: Some(trial),
            seed: 13,
            split: "dev".into(),
            n: 40,
            params: params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            metrics: if failed {
                Default::default()
            } else {
                [("macro_f1".to_owned(), score)].into()
            },
            stopped_epoch: stopped.then_some(2),
            error: failed.then(|| format!("the loss is NaN {LABEL}")),
            ..ResultRow::default()
        }
    };
    ResultTable { rows: (0..trials).map(row).collect() }.write(project.folder())?;
    let said = project.pipe(&["report", "results.parquet", "-o", "swept.html"])?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    Ok(project.path("swept.html"))
}

#[test]
fn a_report_of_a_sweep_stays_readable() -> Result<(), TestError> {
    let project = Project::new(0)?;
    let page = fs::read_to_string(swept(&project, 2000)?)?;
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    assert!(page.contains("id=\"search\"") && page.contains("3\u{a0}parameters searched"));
    assert!(
        page.contains("300 of 1900 trials are drawn")
            && page.contains("600 of 1900 trials are drawn")
    );
    assert!(page.contains("100\u{a0}rows failed") && page.contains("is the best of 1800 trials"));
    assert!(!page.contains(LABEL), "a parameter is text");
    // Few trials are drawn all.
    let page = fs::read_to_string(swept(&project, 12)?)?;
    assert!(!page.contains("trials are drawn") && page.contains("id=\"search\""));
    Ok(())
}

#[test]
fn a_report_that_cannot_be_written_says_why() -> Result<(), TestError> {
    let project = Project::new(0)?;
    let said = project.pipe(&["report"])?;
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("there is no run `latest`"), "{}", said.err);
    project.write(
        "results.csv",
        "run,pipeline,stage,trial,seed,split,n,accuracy,steps,seconds,backend,backend_reason,\
         device\nr,p,score,,1,test,10,0.5,1,1.0,session,,cpu\n",
    )?;
    let said = project.pipe(&["report", "results.csv", "--metric", "acuracy"])?;
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("did you mean `accuracy`?"), "{}", said.err);
    fs::create_dir(project.path("folder"))?;
    let said = project.pipe(&["report", "results.csv", "-o", "folder"])?;
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(
        said.err.contains("`folder` is a folder") && said.err.contains("hint: "),
        "{}",
        said.err
    );
    assert!(!project.path("report.html").exists());
    let said = project.pipe(&["report", "results.csv"])?;
    assert_eq!((said.code, said.out.trim_end()), (Some(0), "report.html"), "{}", said.err);
    Ok(())
}

/// Notes what goes wrong from the start.
const WATCH: &str = "<head><script>
window.wrong = [];
addEventListener('error', (event) => wrong.push(String(event.message)), true);
addEventListener('securitypolicyviolation', (event) => wrong.push(event.violatedDirective));
</script>";

/// Uses the page as a reader would and writes down what came of it.
const TRY: &str = "<script>
(() => {
  const table = document.querySelector('table.results');
  const head = [...table.querySelectorAll('th[data-sort]')].find((th) => \
                   th.textContent.startsWith('macro_f1'));
  const button = head.querySelector('button');
  button.focus();
  const focused = document.activeElement === button;
  const column = () => [...table.tBodies[0].rows].map((row) => \
                   Number(row.cells[head.cellIndex].dataset.value ?? NaN));
  button.click();
  const down = { order: head.getAttribute('aria-sort'), values: column() };
  button.click();
  const up = { order: head.getAttribute('aria-sort'), values: column() };
  const findings = {
    wrong, focused, down, up,
    sorted: document.querySelectorAll('[aria-sort]').length,
    inner: innerWidth, scroll: document.documentElement.scrollWidth,
    charts: [...document.querySelectorAll('main svg')].filter((svg) => \
                   svg.getBoundingClientRect().height > 0).length,
    lit: getComputedStyle(document.body).backgroundColor,
  };
  parent.postMessage(JSON.stringify(findings), '*');
})();
</script></body>";

/// A page around a page, since no window is as narrow as a telephone; it writes down what the inner
/// one found.
fn frame(file: &str, width: u64, height: u64) -> String {
    format!(
        "<!DOCTYPE html><title>x</title><script>
addEventListener('message', (event) => {{
  const pre = document.createElement('pre');
  pre.id = 'findings';
  pre.textContent = event.data;
  document.body.append(pre);
}});
</script><iframe src='{file}' style='width:{width}px;height:{height}px;border:0'></iframe>"
    )
}

#[test]
fn a_browser_shows_a_report() -> Result<(), TestError> {
    let Some(browser) = Browser::find() else {
        skipped("install Chromium, or set PIPE_TEST_CHROMIUM to it");
        return Ok(());
    };
    let (project, path) = reported()?;
    let swept = swept(&project, 60)?;
    let tried = project.path("tried.html");
    let outer = project.path("outer.html");
    let empty = project.path("empty.html");
    fs::write(&empty, "<!DOCTYPE html><title>x</title>")?;
    for (path, width, height, rows) in
        [(&path, 1280, 2400, 3), (&path, 390, 2400, 3), (&swept, 390, 2400, 60)]
    {
        let page = fs::read_to_string(path)?;
        assert!(!page.contains("unsafe-inline"), "the policy lets everything in");
        // The policy holds for all below it, so it has to name the script that tries the page.
        let (_, script) = TRY.split_once("<script>").ok_or("no script")?;
        let (script, _) = script.split_once("</script>").ok_or("no end of the script")?;
        let allowed = format!("script-src {} ", source(script));
        let tries = page
            .replacen("<head>", WATCH, 1)
            .replacen("script-src ", &allowed, 1)
            .replacen("</body>", TRY, 1);
        fs::write(&tried, tries)?;
        let size = format!("--window-size={width},{height}");
        fs::write(&outer, frame("tried.html", width, height))?;
        let arguments = [
            "--window-size=1400,2500",
            "--enable-logging=stderr",
            "--virtual-time-budget=10000",
            "--dump-dom",
        ];
        let said = browser.run(&arguments, &outer)?;
        let dom = fs::read_to_string(&said.out)?;
        let log = fs::read_to_string(&said.err)?;
        let complaints: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(complaints.is_empty(), "{complaints:?}");
        let findings =
            dom.split_once("<pre id=\"findings\">").and_then(|(_, rest)| rest.split_once("</pre>"));
        let findings: Value = serde_json::from_str(findings.ok_or("no findings")?.0)?;
        assert_eq!(findings["wrong"], json!([]));
        assert_eq!(findings["inner"], width);
        assert!(
            findings["scroll"].as_u64() <= Some(width),
            "{width}: the page is {} wide",
            findings["scroll"]
        );
        assert!(findings["charts"].as_u64() >= Some(4), "{findings}");
        assert_eq!((&findings["focused"], &findings["sorted"]), (&json!(true), &json!(1)));
        let values = |way: &str| -> Result<Vec<f64>, TestError> {
            let values = findings[way]["values"].as_array().ok_or("no values")?;
            Ok(values.iter().filter_map(Value::as_f64).collect())
        };
        assert_eq!(
            (&findings["down"]["order"], &findings["up"]["order"]),
            (&json!("descending"), &json!("ascending"))
        );
        assert!(
            values("down")?.is_sorted_by(|a, b| a >= b) && values("up")?.is_sorted(),
            "{findings}"
        );
        assert_eq!(findings["down"]["values"].as_array().map(Vec::len), Some(rows));
        let shot = |file: &Path, name: &str| -> Result<u64, TestError> {
            let image = project.path(name);
            browser.run(&[&size, &format!("--screenshot={}", image.display())], file)?;
            assert!(fs::read(&image)?.starts_with(b"\x89PNG"));
            Ok(fs::metadata(&image)?.len())
        };
        // An image of nothing packs to next to nothing.
        let (full, blank) = (shot(path, "full.png")?, shot(&empty, "blank.png")?);
        assert!(full > 8 * blank, "{full} and {blank} bytes");
    }
    let printed = project.path("printed.pdf");
    browser.run(&[&format!("--print-to-pdf={}", printed.display())], &path)?;
    assert!(fs::read(&printed)?.starts_with(b"%PDF"));
    Ok(())
}

/// What comes into a page in spite of all care does not run.
#[test]
fn a_browser_runs_nothing_that_was_let_in() -> Result<(), TestError> {
    let Some(browser) = Browser::find() else {
        skipped("install Chromium, or set PIPE_TEST_CHROMIUM to it");
        return Ok(());
    };
    let (project, path) = reported()?;
    let page = fs::read_to_string(&path)?;
    let tried = project.path("tried.html");
    let harmful = "<script>document.title = 'script'</script>\
                   <p onclick=\"document.title = 'handler'\" id=bad style=\"color: red\">x</p>\
                   <img src=x onerror=\"document.title = 'error'\">\
                   <a href=\"javascript:document.title = 'link'\" id=link>y</a><main>";
    // Below the policy, this one may run, and uses what was let in.
    let own = "document.getElementById('bad').click();\
               document.getElementById('link').click();\
               setTimeout(() => { document.body.dataset.colour = \
               getComputedStyle(document.getElementById('bad')).color; }, 500);";
    let allowed = format!("script-src {} ", source(own));
    let page = page.replacen("<main>", harmful, 1).replacen("script-src ", &allowed, 1).replacen(
        "</body>",
        &format!("<script>{own}</script></body>"),
        1,
    );
    fs::write(&tried, page)?;
    let said = browser.run(&["--virtual-time-budget=5000", "--dump-dom"], &tried)?;
    let dom = fs::read_to_string(&said.out)?;
    let (_, title) = dom.split_once("<title>").ok_or("no title")?;
    assert!(title.starts_with("few-texts"), "{}", &title[..40.min(title.len())]);
    assert!(dom.contains("has-script"), "the page's own script runs");
    assert!(dom.contains("data-colour=\"rgb") && !dom.contains("data-colour=\"rgb(255, 0, 0)"));
    Ok(())
}

/// Chromium without a window.
struct Browser {
    program: OsString,
    folder: tempfile::TempDir,
}

/// The files with what the browser said.
struct Said {
    out: PathBuf,
    err: PathBuf,
}

impl Browser {
    /// Finds the browser that the tests may use.
    fn find() -> Option<Browser> {
        let given = std::env::var_os("PIPE_TEST_CHROMIUM").filter(|value| !value.is_empty());
        let installed = || {
            let folders = std::env::var_os("PATH")?;
            let names = ["chromium", "chromium-browser", "google-chrome"];
            std::env::split_paths(&folders)
                .flat_map(|folder| names.map(|name| folder.join(name)))
                .find(|file| file.is_file())
                .map(PathBuf::into_os_string)
        };
        Some(Browser { program: given.or_else(installed)?, folder: tempfile::tempdir().ok()? })
    }

    /// Opens a file; a browser that does not come to an end is an error.
    fn run(&self, arguments: &[&str], file: &Path) -> Result<Said, TestError> {
        let said =
            Said { out: self.folder.path().join("out"), err: self.folder.path().join("err") };
        let mut child = Command::new(&self.program)
            // Without a sandbox, which a container's root cannot have; the page is our own.
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", self.folder.path().join("profile").display()))
            .args(arguments)
            .arg(format!("file://{}", file.display()))
            .stdin(Stdio::null())
            .stdout(fs::File::create(&said.out)?.into_parts().0)
            .stderr(fs::File::create(&said.err)?.into_parts().0)
            .spawn()?;
        for _ in 0..1200 {
            if let Some(status) = child.try_wait()? {
                let log = fs::read_to_string(&said.err)?;
                return if status.success() {
                    Ok(said)
                } else {
                    Err(format!("{status}: {log}").into())
                };
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        child.kill()?;
        child.wait()?;
        Err("the browser did not come to an end in two minutes".into())
    }
}
