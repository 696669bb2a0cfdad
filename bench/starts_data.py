"""Data on which starts are hard to find: synthetic, measured, from photos, wide, rounded.

Functions return rows, or (rows, the components that they were drawn from), or with rows that are
held out as the third.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes, load_digits, load_sample_image, make_moons
from sklearn.decomposition import PCA
from sklearn.random_projection import GaussianRandomProjection
from work import blobs

DATA = Path(__file__).parent / "data"
FAITHFUL = Path(__file__).parent.parent / "tests" / "reference" / "faithful.csv"
HELD_OUT = 500


def _mixture(rng, means, factors, sizes):
    """Samples of Gaussians mean + factor z, and their components."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    z = rng.normal(size=(len(labels), means.shape[1]))
    return means[labels] + np.einsum("nij,nj->ni", factors[labels], z), labels


def elongated():
    """Four parallel cigars, twenty times as long as they are wide."""
    turned = np.array([[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]])
    factor = turned @ np.diag([10.0, 0.5])
    means = (turned @ np.array([[0, 0, 0, 0], [0, 3, 6, 9.0]])).T
    return _mixture(np.random.default_rng(1), means, np.stack([factor] * 4), [500] * 4)


def unequal():
    """Sizes 1 to 100."""
    means = np.array([[0, 0, 0], [6, 0, 0], [0, 6, 0], [3, 3, 6.0]])
    factors = np.stack([np.eye(3)] * 3 + [0.5 * np.eye(3)])
    return _mixture(np.random.default_rng(2), means, factors, [3000, 3000, 1000, 30])


def overlapping():
    """Five components of which neighbours share a third of their samples."""
    rng = np.random.default_rng(3)
    means = 1.5 * rng.normal(size=(5, 3))
    factors = np.eye(3) + 0.4 * rng.normal(size=(5, 3, 3))
    return _mixture(rng, means, factors, [1000] * 5)


def units():
    """Features in units from a thousandth to a thousand; the largest two are noise."""
    rng = np.random.default_rng(4)
    means = np.zeros((5, 6))
    means[:, :4] = 3 * rng.normal(size=(5, 4))
    x, labels = _mixture(rng, means, np.stack([np.eye(6)] * 5), [400] * 5)
    return x * 10.0 ** np.arange(-3, 3), labels


def many_features():
    """Ten correlated components in 20 dimensions."""
    rng = np.random.default_rng(5)
    means = 1.5 * rng.normal(size=(10, 20))
    factors = np.eye(20) + 0.2 * rng.normal(size=(10, 20, 20))
    return _mixture(rng, means, factors, [500] * 10)


def moons():
    """Two half circles, three Gaussians each."""
    return make_moons(2000, noise=0.07, random_state=6)[0]


def rare():
    """Overlapping populations like a flow cytometer's, the smallest 0.5 % of all."""
    rng = np.random.default_rng(11)
    means = rng.choice([0.0, 1.2, 2.4], (8, 6))
    spreads = 0.15 * rng.normal(size=(8, 6, 6))
    covariances = [s @ s.T + np.diag(rng.uniform(0.15, 0.5, 6)) for s in spreads]
    factors = np.linalg.cholesky(np.stack(covariances))
    return _mixture(rng, means, factors, [7600, 4800, 3000, 2000, 1400, 800, 300, 100])


def nested():
    """A narrow component inside a wide one, and one beside."""
    means = np.array([[0, 0], [0.5, 0], [6, 1.0]])
    factors = np.stack([4 * np.eye(2), 0.4 * np.eye(2), np.eye(2)])
    return _mixture(np.random.default_rng(7), means, factors, [1000, 700, 300])


def grid():
    """Twenty-five clusters on a grid."""
    means = 6.0 * np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2)
    return _mixture(np.random.default_rng(8), means, np.stack([np.eye(2)] * 25), [120] * 25)


def tied():
    """Overlapping clusters that share a correlated covariance."""
    rng = np.random.default_rng(9)
    factor = np.linalg.cholesky(0.9 * np.ones((4, 4)) + 0.1 * np.eye(4))
    means = 1.0 * rng.normal(size=(6, 4))
    return _mixture(rng, means, np.stack([factor] * 6), [400] * 6)


def diag():
    """Clusters of unequal widths along the axes."""
    rng = np.random.default_rng(10)
    means = 3 * rng.normal(size=(8, 5))
    widths = np.exp(rng.normal(size=(8, 5)))
    return _mixture(rng, means, widths[:, :, None] * np.eye(5), [400] * 8)


def csv(name):
    """The columns of a file of `DATA` but for a last one of labels."""
    path = DATA / f"{name}.csv"
    head = path.read_text().splitlines()[0].split(",")
    x = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    return x[:, :-1] if head[-1] == "label" else x


def faithful():
    return np.loadtxt(FAITHFUL, delimiter=",", skiprows=1, usecols=(-2, -1))


def diabetes():
    """The serum and body measurements of the patients, without their sex."""
    return np.delete(load_diabetes(scaled=False).data, 1, axis=1)


def digits(components):
    """Leading principal components of scikit-learn's digits."""
    return PCA(components, svd_solver="full").fit_transform(load_digits().data)


def _jittered(x, steps=1.0, seed=0):
    """Rounded values, moved by up to half a step, so that they have a density."""
    return x + np.random.default_rng(seed).uniform(-0.5, 0.5, x.shape) * steps


def photo(name, jittered=True):
    """Pixels of one of scikit-learn's photos."""
    x = load_sample_image(f"{name}.jpg").reshape(-1, 3).astype(float)
    return _jittered(x) if jittered else x


def diamonds(jittered=True):
    """Carats, depths, widths of the table and prices."""
    x = csv("diamonds")
    return _jittered(x, [0.01, 0.1, 1.0, 1.0]) if jittered else x


def homes():
    """Sizes, rooms and prices of homes in six markets, on grids of 1, 0.5 and 500."""
    rng = np.random.default_rng(12)
    market = rng.choice(6, 6000, p=[0.3, 0.25, 0.2, 0.12, 0.08, 0.05])
    size = np.exp(rng.normal(np.log([45, 70, 95, 120, 180, 60])[market], 0.28))
    rooms = size / rng.normal(26, 3.5, 6000).clip(15) + rng.normal(0.4, 0.5, 6000)
    square_metre = np.array([5200, 3100, 2400, 3800, 4600, 8000])[market]
    price = size * square_metre * np.exp(rng.normal(0, 0.17, 6000))
    steps = np.array([1.0, 0.5, 500.0])
    return np.round(np.column_stack([size, rooms, price]) / steps) * steps


def patches():
    """Every eleventh 5 x 5 patch of the flower's green channel, in six principal components."""
    green = load_sample_image("flower.jpg")[:, :, 1].astype(float)
    windows = np.lib.stride_tricks.sliding_window_view(green, (5, 5)).reshape(-1, 25)
    return PCA(6, svd_solver="full").fit_transform(_jittered(windows[::11], seed=1))


def opponent(name):
    """A photo's brightness and two differences of its colours, after a square root."""
    red, green, blue = np.sqrt(photo(name) + 1).T
    return np.column_stack([red + green + blue, red - green, blue - 0.5 * (red + green)])


def edges():
    """Brightness and its two slopes at every seventh pixel of the photo of china."""
    grey = photo("china").mean(axis=1).reshape(427, 640)
    down, across = np.gradient(grey)
    return np.column_stack([grey.ravel(), down.ravel(), across.ravel()])[::7]


def projected():
    """The digits' 64 pixels in 12 random directions."""
    return GaussianRandomProjection(12, random_state=3).fit_transform(load_digits().data)


def rings():
    """Three noisy rings in space, of different radii and densities."""
    rng = np.random.default_rng(21)
    radius = np.repeat([1.0, 2.5, 4.0], [1000, 1500, 500])
    angle = rng.uniform(0, 2 * np.pi, len(radius))
    ring = np.column_stack([np.cos(angle), np.sin(angle), np.sin(2 * angle)])
    return radius[:, None] * ring + 0.12 * rng.normal(size=(len(radius), 3))


def heavy():
    """Student's t of three degrees of freedom about seven centres in five dimensions."""
    rng = np.random.default_rng(22)
    label = rng.integers(0, 7, 6000)
    noise = rng.standard_t(3, size=(6000, 5)) * rng.uniform(0.4, 1.2, (7, 5))[label]
    return 4 * rng.normal(size=(7, 5))[label] + noise


def topics():
    """16 principal components of 20,000 unit vectors of 384 features about 30 topics."""
    rng = np.random.default_rng(15)
    centres = rng.normal(size=(30, 384))
    labels = rng.choice(30, 20_000, p=rng.dirichlet(np.full(30, 3.0)))
    x = centres[labels] + 1.3 * rng.normal(size=(20_000, 384))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return PCA(16, svd_solver="full").fit_transform(x)


def spread(n, d, k):
    """Clusters three standard deviations from the origin, of different widths."""
    return blobs(n, d, k, np.random.default_rng(0))[0]


def plain(n, d, k):
    """Unit covariances, centres 3 from the origin in every feature: 70 standard deviations apart
    at 300 features."""
    rng = np.random.default_rng(77)
    labels = rng.integers(0, k, n)
    x = rng.normal(size=(n, d))
    centres = 3 * rng.normal(size=(k, d))
    others = rng.integers(0, k, HELD_OUT)
    return x + centres[labels], labels, rng.normal(size=(HELD_OUT, d)) + centres[others]


def drawn(n, d, shares, apart, seed, scales=False, correlated=False):
    """Clusters of some shares of the rows, some standard deviations apart.

    With `scales` the features are in units from a hundredth to a thousand; when `correlated`
    three factors add noise to all of them.
    """
    rng = np.random.default_rng(seed)
    k = len(shares)
    labels = rng.permutation(np.repeat(np.arange(k), np.round(n * np.array(shares)).astype(int)))
    labels = np.append(labels, rng.choice(k, HELD_OUT, p=shares))
    x = rng.normal(size=(len(labels), d))
    if correlated:
        x += rng.normal(size=(len(labels), 3)) @ rng.normal(size=(3, d))
    x += (apart / np.sqrt(2 * d) * rng.normal(size=(k, d)))[labels]
    if scales:
        x *= 10.0 ** rng.uniform(-2, 3, d)
    return x[:-HELD_OUT], labels[:-HELD_OUT], x[-HELD_OUT:]


def digits_held_out(components):
    """The digits, a fifth of them held out."""
    x = digits(components)
    held = np.random.default_rng(0).permutation(len(x)) < len(x) // 5
    return x[~held], None, x[held]


# Rounded data, of one seed after another.


def heights(seed, n=3000, d=1):
    return np.random.default_rng(seed).normal(170, 10, (n, d)).round()


def ages(seed, n=3000, d=1):
    rng = np.random.default_rng(seed)
    old = rng.random(n) < 0.4
    centres, widths = np.where(old, 55, 25)[:, None], np.where(old, 7, 4)[:, None]
    return rng.normal(centres, widths, (n, d)).round()


def heaped(seed):
    """The same, half of them in fives."""
    fives = np.random.default_rng([seed, 5]).random((3000, 1)) < 0.5
    years = ages(seed)
    return np.where(fives, (years / 5).round() * 5, years)


def partly(seed):
    """Heights, a tenth of them exact."""
    rng = np.random.default_rng(seed)
    x = rng.normal(170, 10, (3000, 1))
    return np.where(rng.random((3000, 1)) < 0.1, x, x.round())


def counts(seed, rate=50.0):
    return np.random.default_rng(seed).poisson(rate, (3000, 1)).astype(float)


def two_counts(seed):
    rng = np.random.default_rng(seed)
    rates = np.where(rng.random((2000, 1)) < 0.5, (4.0, 30.0), (25.0, 50.0))
    return rng.poisson(rates).astype(float)


def likert(seed):
    rng = np.random.default_rng(seed)
    centre = np.where(rng.random((1500, 1)) < 0.5, 2.0, 4.0)
    return rng.normal(centre, 0.6, (1500, 5)).round().clip(1, 5)


def prices(seed, groups=2):
    """Prices in steps of 500, sizes in whole square metres."""
    rng = np.random.default_rng(seed)
    dear = rng.random(2000) < (0.4 if groups == 2 else 0.0)
    size = rng.normal(np.where(dear, 130, 70), np.where(dear, 15, 10), 2000)
    price = rng.normal(np.where(dear, 620e3, 240e3), np.where(dear, 60e3, 30e3), 2000)
    return np.column_stack([size.round(), (price / 500).round() * 500])
