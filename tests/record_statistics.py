"""Records figures of statistical tests by SciPy and statsmodels.

Writes tests/data/statistics.json.
Run from anywhere: python tests/record_statistics.py   (needs scipy, statsmodels)
"""

import json
import pathlib
import warnings

import numpy
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

DATA = pathlib.Path(__file__).parent / "data"
RANDOM = numpy.random.default_rng(20)


def rounded(values, digits=4):
    return [round(float(value), digits) for value in values]


# Paired scores of few and of many seeds, with equal sizes and with zeros among the differences.
PAIRS = [
    ([0.71, 0.70], [0.74, 0.75]),
    ([0.612, 0.655, 0.634], [0.640, 0.661, 0.629]),
    ([0.71, 0.70, 0.68, 0.73, 0.72], [0.74, 0.72, 0.73, 0.74, 0.77]),
    ([0.5, 0.6, 0.7, 0.8, 0.9], [0.6, 0.5, 0.7, 0.9, 0.8]),
    ([0.50, 0.52, 0.55, 0.51, 0.58, 0.53, 0.50, 0.54], [0.52, 0.54, 0.55, 0.53, 0.56, 0.55, 0.50, 0.60]),
    (rounded(RANDOM.normal(0.7, 0.03, 12)), rounded(RANDOM.normal(0.71, 0.03, 12))),
    (rounded(RANDOM.normal(0.7, 0.03, 16), 2), rounded(RANDOM.normal(0.72, 0.03, 16), 2)),
    (rounded(RANDOM.normal(0.7, 0.05, 40), 2), rounded(RANDOM.normal(0.72, 0.05, 40), 2)),
    (rounded(RANDOM.normal(0.7, 0.05, 30)), rounded(RANDOM.normal(0.74, 0.05, 30))),
    (rounded(RANDOM.normal(0.7, 0.05, 22), 8), rounded(RANDOM.normal(0.72, 0.05, 22), 8)),
]


def pair(a, b):
    a, b = numpy.array(a), numpy.array(b)
    # Equal differences are equal to the last bit, as they are on paper.
    differences = numpy.round(b - a, 10)
    test = stats.ttest_rel(b, a)
    interval = test.confidence_interval()
    unpaired = stats.ttest_ind(b, a, equal_var=False)
    unpaired_interval = unpaired.confidence_interval()
    mean = stats.t.interval(0.95, len(a) - 1, a.mean(), stats.sem(a))
    count = int(numpy.count_nonzero(differences))
    # SciPy's own exact method is for differences without ties, its permutations are for few.
    method = stats.PermutationMethod(n_resamples=numpy.inf) if count <= 16 else "exact" if count <= 25 else "asymptotic"
    # Zeros are taken out first, so that the permutations are of what is left, all of them.
    wilcoxon = stats.wilcoxon(differences[differences != 0], method=method, correction=True)
    return {
        "a": a.tolist(), "b": b.tolist(), "mean": a.mean(), "deviation": a.std(ddof=1), "interval": list(mean),
        "p": test.pvalue, "difference": list(interval), "dz": differences.mean() / differences.std(ddof=1),
        "welch_p": unpaired.pvalue, "welch_difference": list(unpaired_interval), "wilcoxon_p": wilcoxon.pvalue,
    }


# Scores near an end of their metric's range: accuracies, Matthews' coefficients, losses.
BOUNDED = [
    ([0.93, 1.0, 1.0], [0.0, 1.0]),
    ([0.96, 0.99, 0.98, 1.0, 0.97], [0.0, 1.0]),
    ([0.0, 0.02], [0.0, 1.0]),
    ([0.1, 0.9], [0.0, 1.0]),
    ([-0.98, -0.9, -1.0], [-1.0, 1.0]),
    ([0.02, 0.3, 0.05, 0.04], [0.0, 16.0]),
    ([0.71, 0.70, 0.68, 0.73, 0.72], [0.0, 1.0]),
]


def bounded(values, bounds):
    # The true mean lies within the bounds, so the part of the interval beyond them holds nothing.
    interval = stats.t.interval(0.95, len(values) - 1, numpy.mean(values), stats.sem(values))
    return {"values": values, "range": bounds, "interval": numpy.clip(interval, *bounds).tolist()}


def coverage(mean, seeds, draws=20_000, texts=200):
    """How often intervals of a mean accuracy hold it: each seed trains another model (Beta), and each
    model predicts so many texts (binomial). Student's interval cut to [0, 1] beside two others."""
    random = numpy.random.default_rng(7)
    concentration = mean * (1 - mean) / 0.02**2 - 1
    skill = random.beta(mean * concentration, (1 - mean) * concentration, (draws, seeds))
    scores = random.binomial(texts, skill) / texts
    varied = scores.std(axis=1) > 0
    scores = scores[varied]

    def student(values):
        half = stats.t.ppf(0.975, seeds - 1) * values.std(axis=1, ddof=1) / numpy.sqrt(seeds)
        return values.mean(axis=1) - half, values.mean(axis=1) + half

    def share(low, high):
        return round(float(((low <= mean) & (mean <= high)).mean()), 3)

    low, high = student(scores)
    # The logit has no value at 1, so a half text is taken off, as is usual.
    moved = (scores * texts + 0.5) / (texts + 1)
    logit_low, logit_high = student(numpy.log(moved / (1 - moved)))
    picks = random.integers(0, seeds, (2000, seeds))
    some = scores[:2000]
    means = some[:, picks].mean(axis=2)
    drawn = numpy.quantile(means, [0.025, 0.975], axis=1)
    return {
        "mean": mean, "seeds": seeds, "student": share(low, high),
        "cut": share(numpy.clip(low, 0, 1), numpy.clip(high, 0, 1)),
        "logit": share(1 / (1 + numpy.exp(-logit_low)), 1 / (1 + numpy.exp(-logit_high))),
        "bootstrap": share(*drawn), "beyond": round(float((high > 1).mean()), 3),
        "without": round(float(1 - varied.mean()), 3),
    }


def power(deviation, difference=0.01):
    found = TTestPower().solve_power(effect_size=difference / deviation, alpha=0.05, power=0.8) if deviation < 1 else None
    # Whole pairs: the first number that reaches the power.
    count = max(2, int(found) - 2)
    while TTestPower().power(difference / deviation, count, 0.05) < 0.8:
        count += 1
    return {"deviation": deviation, "seeds": count}


def friedman(blocks):
    result = stats.friedmanchisquare(*numpy.array(blocks).T)
    ranks = numpy.mean([stats.rankdata(block) for block in blocks], axis=0)
    return {"blocks": blocks, "statistic": result.statistic, "p": result.pvalue, "ranks": ranks.tolist()}


def main():
    warnings.filterwarnings("ignore")
    holms = [[0.01, 0.04, 0.03, 0.005], [0.5, 0.6, 0.9], [0.001], [0.02, 0.02, 0.02], rounded(RANDOM.uniform(0, 0.1, 12))]
    blocks = [
        [[0.71, 0.74, 0.69], [0.70, 0.72, 0.68], [0.68, 0.73, 0.70], [0.73, 0.74, 0.71], [0.72, 0.77, 0.70]],
        [[0.7, 0.7, 0.6, 0.8], [0.7, 0.6, 0.6, 0.7], [0.8, 0.8, 0.8, 0.9]],
        [rounded(RANDOM.normal(0.7, 0.05, 8), 2) for _ in range(10)],
    ]
    ranges = [(q, k) for k in (2, 3, 5, 10, 50) for q in (0.5, 2.0, 3.3145, 4.5, 7.0)]
    document = {
        "made_by": "tests/record_statistics.py",
        "versions": {module.__name__: module.__version__ for module in (scipy, statsmodels, numpy)},
        "pairs": [pair(*case) for case in PAIRS],
        "bounded": [bounded(*case) for case in BOUNDED],
        "coverage": [coverage(mean, seeds) for mean in (0.8, 0.95, 0.98, 0.99) for seeds in (2, 3, 5, 10)],
        "holm": [{"p": p, "corrected": multipletests(p, method="holm")[1].tolist()} for p in holms],
        "mcnemar": [{"counts": [b, c], "p": mcnemar([[9, b], [c, 9]], exact=True).pvalue}
                    for b, c in [(1, 0), (5, 5), (3, 11), (0, 9), (40, 61), (300, 350)]],
        "friedman": [friedman(case) for case in blocks],
        "studentized_range": [{"range": q, "count": k, "above": stats.studentized_range.sf(q, k, numpy.inf)} for q, k in ranges],
        # The table of Demšar (2006, table 5a) holds these over the square root of 2.
        "studentized_range_quantiles": [{"count": k, "range": stats.studentized_range.isf(0.05, k, numpy.inf)}
                                        for k in (2, 3, 4, 6, 10, 30)],
        "power": [power(deviation) for deviation in (0.001, 0.004, 0.006, 0.008, 0.01, 0.013, 0.02, 0.035, 0.05, 0.1, 0.3)],
    }
    lines = ",\n".join(json.dumps(key) + ": " + json.dumps(value) for key, value in document.items())
    (DATA / "statistics.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
