"""Records figures of classifiers by scikit-learn and SciPy, and by formulas in NumPy.

Leave-one-out is by refitting. scikit-learn's own LDA with a given shrinkage is recorded where it is
the same estimate: without shrinkage, with N in place of N - K.

Writes tests/data/classifiers.json.
Run from anywhere: python tests/record_classifiers.py   (needs numpy, scipy, scikit-learn)
"""

import json
import pathlib
import warnings

import numpy
import scipy
import sklearn
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

DATA = pathlib.Path(__file__).parent / "data"
RANDOM = numpy.random.default_rng(18)


def points(counts, size, spread, decimals=4):
    """Unit vectors around one mean per class, and those around a common one, as embeddings are."""
    labels = numpy.repeat(numpy.arange(len(counts)), counts)
    RANDOM.shuffle(labels)
    means = RANDOM.normal(size=(len(counts), size))
    x = means[labels] + RANDOM.normal(size=size) + spread * RANDOM.normal(size=(len(labels), size))
    return numpy.round(x / numpy.linalg.norm(x, axis=1, keepdims=True), decimals), labels


def nll(logits, labels):
    return float(-log_softmax(logits, axis=1)[numpy.arange(len(labels)), labels].mean())


def regressions(x, labels, settings):
    found = []
    for c, weights in settings:
        model = LogisticRegression(C=c, class_weight=weights, tol=1e-10, max_iter=100000)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # Newton's steps go on to the optimum where L-BFGS stops at a small decrease.
            model.set_params(solver="newton-cg").fit(x, labels)
        found.append({
            "c": c, "balanced": weights == "balanced",
            "weight": model.coef_.tolist(), "bias": model.intercept_.tolist(),
        })
    return found


def residuals_of(x, labels, classes):
    means = numpy.stack([x[labels == c].mean(0) for c in range(classes)])
    return means, x - means[labels]


def lda(x, labels, classes, amount, prior=None):
    """W and b from the covariance ((1-a) SS + a tr(SS)/d I) / (n - K)."""
    n, size = x.shape
    means, residuals = residuals_of(x, labels, classes)
    scatter = residuals.T @ residuals
    covariance = (1 - amount) * scatter + amount * numpy.trace(scatter) / size * numpy.eye(size)
    covariance /= n - classes
    prior = numpy.bincount(labels, minlength=classes) / n if prior is None else prior
    weight = numpy.linalg.solve(covariance, means.T).T
    return weight, -0.5 * (weight * means).sum(1) + numpy.log(prior)


def lda_case(x, labels, classes):
    _, residuals = residuals_of(x, labels, classes)
    _, amount = ledoit_wolf(residuals, assume_centered=True)
    fits = []
    prior = numpy.arange(1, classes + 1) / numpy.arange(1, classes + 1).sum()
    for used, given in [(amount, None), (0.3, None), (1.0, None), (0.3, prior)]:
        weight, bias = lda(x, labels, classes, used, given)
        left_out = []
        for point in range(len(x)):
            rest = numpy.arange(len(x)) != point
            w, b = lda(x[rest], labels[rest], classes, used, given)
            left_out.append(w @ x[point] + b)
        left_out = numpy.array(left_out)
        fits.append({
            "shrinkage": used, "prior": None if given is None else given.tolist(),
            "weight": weight.tolist(), "bias": bias.tolist(),
            "left_out": log_softmax(left_out, axis=1).tolist(), "nll": nll(left_out, labels),
        })
    tried = [amount] + [step / 10 for step in range(1, 10)]
    losses = []
    for used in tried:
        logits = []
        for point in range(len(x)):
            rest = numpy.arange(len(x)) != point
            w, b = lda(x[rest], labels[rest], classes, used)
            logits.append(w @ x[point] + b)
        losses.append(nll(numpy.array(logits), labels))
    plain = None
    if len(x) - classes > x.shape[1]:
        model = LinearDiscriminantAnalysis(solver="lsqr").fit(x, labels)
        plain = model.predict_log_proba(x).tolist()
    chosen = tried[int(numpy.argmin(losses))]
    return {"ledoit_wolf": float(amount), "fits": fits, "losses": losses, "chosen": chosen, "plain": plain}


def temperature(logits, labels):
    found = minimize_scalar(
        lambda log: nll(logits / numpy.exp(log), labels), bounds=(numpy.log(1e-3), numpy.log(1e3)),
        method="bounded", options={"xatol": 1e-12, "maxiter": 2000},
    )
    return float(numpy.exp(found.x))


def prototypes(x, labels, classes, extra, extra_labels, weight):
    def means(rest):
        return numpy.stack([
            (x[rest & (labels == c)].sum(0) + weight * extra[extra_labels == c].sum(0))
            / ((rest & (labels == c)).sum() + weight * (extra_labels == c).sum())
            for c in range(classes)
        ])

    everything = numpy.ones(len(x), bool)
    members = numpy.bincount(labels, minlength=classes) + numpy.bincount(extra_labels, minlength=classes)
    asked = [point for point in range(len(x)) if members[labels[point]] > 1]
    logits = numpy.array([
        -((x[point] - means(everything & (numpy.arange(len(x)) != point))) ** 2).sum(1) for point in asked
    ])
    return {
        "extra": extra.tolist(), "extra_labels": extra_labels.tolist(), "weight": weight,
        "means": means(everything).tolist(), "asked": asked, "left_out": logits.tolist(),
        "temperature": temperature(logits, labels[asked]),
    }


def neighbours(x, labels, classes, k):
    """The nearest points, and the logits at some temperatures, of each point among the others."""
    near = NearestNeighbors(n_neighbors=k + 1, metric="cosine").fit(x)
    order = near.kneighbors(x, return_distance=False)
    order = numpy.array([[other for other in row if other != at][:k] for at, row in enumerate(order)])
    losses, unit = [], x / numpy.linalg.norm(x, axis=1, keepdims=True)
    for quarter in range(12, -13, -1):
        value = 10.0 ** (quarter / 4)
        logits = numpy.full((len(x), classes), 1e-6)
        for point, row in enumerate(order):
            cosines = unit[row] @ unit[point]
            for other, share in zip(row, numpy.exp((cosines - cosines[0]) / value)):
                logits[point, labels[other]] += share
        losses.append(nll(numpy.log(logits), labels))
    best = int(numpy.argmin(numpy.round(losses, 9)))
    chosen = 10.0 ** ((12 - best) / 4)
    return {
        "k": k, "order": order.tolist(), "temperature": chosen, "nll": losses[best],
        "asked": asked(x, labels, classes, k, chosen),
    }


def asked(x, labels, classes, k, temperature):
    """Probabilities of further points by scikit-learn's classifier, with 1e-6 for each class."""
    # A generator of its own, so that the cases stay as they were.
    new = numpy.round(numpy.random.default_rng(len(x)).normal(size=(6, x.shape[1])), 4)
    weigh = lambda distances: numpy.exp((distances.min(1, keepdims=True) - distances) / temperature)
    model = KNeighborsClassifier(k, metric="cosine", weights=weigh).fit(x, labels)
    sums = weigh(model.kneighbors(new)[0]).sum(1, keepdims=True)
    shares = model.predict_proba(new) * sums + 1e-6
    return {"x": new.tolist(), "probabilities": (shares / shares.sum(1, keepdims=True)).tolist()}


def saerens(logits, trained):
    probabilities, shares = softmax(logits, axis=1), trained.copy()
    for _ in range(1000):
        joint = probabilities * shares / trained
        after = (joint / joint.sum(1, keepdims=True)).mean(0)
        change, shares = numpy.abs(after - shares).max(), after
        if change <= 1e-6:
            break
    return shares


def case(name, counts, size, spread, few=False):
    x, labels = points(counts, size, spread)
    classes = len(counts)
    settings = [(c, None) for c in (0.01, 1.0, 100.0)] + [(1.0, "balanced")]
    if few:
        settings = [(1.0, None), (100.0, "balanced")]
    result = {
        "name": name, "x": x.tolist(), "labels": labels.tolist(), "classes": classes,
        "logistic_regression": regressions(x, labels, settings),
    }
    if min(counts) > 1:
        result["lda"] = lda_case(x, labels, classes)
        result["neighbours"] = neighbours(x, labels, classes, min(5, min(counts)))
    extra, extra_labels = points([1] * (classes - 1), size, spread)
    result["prototypes"] = [
        prototypes(x, labels, classes, numpy.zeros((0, size)), numpy.zeros(0, int), 1.0),
        prototypes(x, labels, classes, extra, extra_labels, 0.5),
    ]
    return result


def scores(rows, classes, sharpness):
    labels = RANDOM.integers(0, classes, rows)
    logits = RANDOM.normal(size=(rows, classes)) * sharpness
    logits[numpy.arange(rows), labels] += sharpness
    return numpy.round(logits, 4), labels


def shares(rows, classes, sharpness):
    logits, labels = scores(rows, classes, sharpness)
    trained = numpy.arange(2, classes + 2) / numpy.arange(2, classes + 2).sum()
    return {"logits": logits.tolist(), "trained": trained.tolist(), "shares": saerens(logits, trained).tolist()}


def tempered(rows, classes, sharpness):
    logits, labels = scores(rows, classes, sharpness)
    return {"logits": logits.tolist(), "labels": labels.tolist(), "temperature": temperature(logits, labels)}


def rounded(value):
    """Eleven digits are more than any comparison asks for."""
    if isinstance(value, float):
        return float(f"{value:.11g}")
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else value


if __name__ == "__main__":
    recorded = {
        "made_by": "tests/record_classifiers.py",
        "versions": {"numpy": numpy.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__},
        "cases": [
            case("two classes", [10, 8], 4, 1.0),
            case("two uneven classes", [14, 4], 3, 1.5),
            case("three classes", [8, 8, 8], 5, 1.0),
            case("six classes", [3, 4, 4, 2, 6, 5], 6, 0.8),
            case("more numbers than points", [8, 6, 10], 40, 3.5, few=True),
            case("a class with one point", [5, 1, 4], 3, 0.6, few=True),
        ],
        "temperatures": [tempered(20, 3, 0.5), tempered(12, 2, 3.0), tempered(16, 5, 1.0)],
        "shares": [shares(30, 2, 1.5), shares(24, 3, 1.0)],
    }
    path = DATA / "classifiers.json"
    lines = json.dumps(rounded(recorded), separators=(",", ":")).replace('{"name"', '\n{"name"')
    path.write_text(lines + "\n")
    print(path, path.stat().st_size, "bytes")
