"""Records how Python's csv, pandas and pyarrow read tables.

Writes tests/data/tables.json and the Parquet files in tests/data/tables.
Run from anywhere: python tests/record_tables.py   (needs pandas, pyarrow)
"""

import csv
import decimal
import io
import json
import pathlib

import pandas
import pyarrow
import pyarrow.parquet

DATA = pathlib.Path(__file__).parent / "data"
TEXTS = ["one", "two", "three", "four"]

# The content of a file, its separator, and whether quotes enclose fields.
DELIMITED = {
    "plain": ("text,label\none,a\ntwo,b\n", ",", True),
    "quotes": ('text,label\n"a, ""b""\nc",1\r\nd "e" f,"2"\n"",3\n', ",", True),
    "inner quotes": ('label,text\n1,5" disk\n2,"""twas"""\n', ",", True),
    "blank lines first": ("\n\ntext,label\none,a\n", ",", True),
    "blank lines": ('text,label\n\none,a\n\n\n"two\n\nlines",b\n   \nthree,a\n\n', ",", True),
    "crlf": ("text,label\r\none,a\r\n\r\ntwo,b", ",", True),
    "lone carriage returns": ("text,label\rone,a\rtwo,b\r", ",", True),
    "semicolons": ('text;label;note\none, two;a;\n"x;y";b;z\n', ";", True),
    "tabs in quotes": ('text\tlabel\n"a\tb"\tx\n"c ""d"""\ty\n', "\t", True),
    "bars": ("label|text\na|one\nb|two\n", "|", True),
    "letters": (
        'text\tlabel\n"twas cold\twinter\nsun\tsummer\n"ice" here\twinter\nnoon"\tsummer\n',
        "\t",
        False,
    ),
    "balanced letters": ('label\ttext\na\t"we met\nb\tnothing\na\tand parted"\n', "\t", False),
    "quoted letters": ('text\tlabel\n"all"\tx\n"a ""b"" c"\ty\n', "\t", False),
    "commas and letters": ('text,label\n"a,x\nb",y\n', ",", False),
}


def by_csv(text, separator, quoted):
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting)
    # A line of blanks alone is a row for csv and none for pandas.
    return [
        [row["text"], row["label"]]
        for row in rows
        if row["label"] is not None or row["text"].strip()
    ]


def by_pandas(text, separator, quoted):
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    table = pandas.read_csv(
        io.StringIO(text, newline=""),
        sep=separator,
        quoting=quoting,
        dtype=str,
        keep_default_na=False,
    )
    return table[["text", "label"]].values.tolist()


def delimited():
    found = []
    for name, (text, separator, quoted) in DELIMITED.items():
        rows = by_pandas(text, separator, quoted)
        # csv takes a blank first line for the header.
        assert name == "blank lines first" or rows == by_csv(text, separator, quoted), (name, rows)
        found.append(
            {"name": name, "content": text, "separator": separator, "quoted": quoted, "rows": rows}
        )
    return found


def shown(value):
    """A label as text: numbers as Python writes them."""
    if isinstance(value, list):
        (value,) = value
    if isinstance(value, bytes):
        return value.decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


def columns():
    labels = ["a", "b", "a", "b"]
    text, numbers = pyarrow.array(TEXTS), [1, 0, 1, 0]
    of = lambda values, kind: (text, pyarrow.array(values, kind))
    yield "large_string", (
        pyarrow.array(TEXTS, pyarrow.large_string()),
        pyarrow.array(labels, pyarrow.string_view()),
    )
    yield "dictionary", (text.dictionary_encode(), pyarrow.array(labels).dictionary_encode())
    yield "dictionary_of_numbers", (text, pyarrow.array([7, 8, 7, 8]).dictionary_encode())
    yield "binary", (
        pyarrow.array([one.encode() for one in TEXTS]),
        pyarrow.array([one.encode() for one in labels]),
    )
    for kind in ("int8", "int16", "uint8", "uint16", "uint32"):
        yield kind, of(numbers, getattr(pyarrow, kind)())
    yield "negative", of([-3, 5, -3, 5], pyarrow.int8())
    yield "uint64", of([2**63 + 1, 0, 2**63 + 1, 0], pyarrow.uint64())
    yield "float16", of([1.0, 0.5, 1.0, 0.5], pyarrow.float16())
    decimals = [decimal.Decimal("1.50"), decimal.Decimal("-0.05")] * 2
    for digits in (5, 15, 30):
        yield f"decimal_{digits}", of(decimals, pyarrow.decimal128(digits, 2))
    yield "decimal_60", of(decimals, pyarrow.decimal256(60, 2))
    yield "list_of_one", (pyarrow.array([[one] for one in TEXTS]), pyarrow.array(labels))


def write(name, table, **options):
    # Statistics and compression would only make the files larger.
    pyarrow.parquet.write_table(
        table,
        DATA / "tables" / f"{name}.parquet",
        compression="none",
        write_statistics=False,
        **options,
    )


def parquet():
    found = []
    for name, (text, label) in columns():
        write(name, pyarrow.table({"text": text, "label": label}))
        table = pyarrow.parquet.read_table(DATA / "tables" / f"{name}.parquet").to_pydict()
        rows = [[shown(a), shown(b)] for a, b in zip(table["text"], table["label"])]
        found.append({"name": name, "rows": rows})
    frame = pandas.DataFrame(
        {"text": pandas.Categorical(TEXTS), "label": pandas.Categorical([3, 4, 3, 4])}
    )
    frame.index = [5, 6, 7, 8]
    frame.to_parquet(DATA / "tables" / "category.parquet", compression=None, write_statistics=False)
    frame = pandas.read_parquet(DATA / "tables" / "category.parquet")
    found.append(
        {
            "name": "category",
            "rows": [[shown(a), shown(b)] for a, b in zip(frame.text, frame.label)],
        }
    )
    # As `datasets` writes class names: Dataset.to_parquet of the features Value and ClassLabel.
    names = ["World", "Sports"]
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        "label": {"names": names, "_type": "ClassLabel"},
    }
    table = pyarrow.table({"text": TEXTS, "label": [1, 0, 1, 0]})
    write(
        "class_label",
        table.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        ),
    )
    found.append(
        {
            "name": "class_label",
            "rows": [[text, names[1 - place % 2]] for place, text in enumerate(TEXTS)],
        }
    )
    return found


def results():
    """A table of results as `pipe` writes it, and after pandas has read and saved it."""
    table = (
        "run,pipeline,stage,trial,seed,split,n,param.rate,param.shots,accuracy,steps,seconds,"
        "generated,accepted_share,augmentation_loss,copy_rate,backend,backend_reason,device,"
        "parts,stopped_epoch,error\n"
        "r,p,score,0,1,test,30,5e-5,8,0.5,10,1.5,,,,,session,asked for,cpu,,,\n"
        "r,p,score,1,1,test,30,1e-4,8,0.25,10,2.5,,,,,session,asked for,cpu,2,3,\n"
    )
    (DATA / "tables" / "results.csv").write_text(table)
    pandas.read_csv(io.StringIO(table)).to_parquet(
        DATA / "tables" / "results_of_pandas.parquet", compression=None, write_statistics=False
    )


def main():
    (DATA / "tables").mkdir(exist_ok=True)
    results()
    found = {
        "versions": {"pandas": pandas.__version__, "pyarrow": pyarrow.__version__},
        "delimited": delimited(),
        "parquet": parquet(),
    }
    (DATA / "tables.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
