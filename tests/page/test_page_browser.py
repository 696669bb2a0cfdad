"""The report to pass on, in a real browser: it loads nothing, runs nothing of the user's, is read.

Skipped where there is no Chromium with its driver, unless GMM_FAST_BROWSER=required.
"""

import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pages
import pytest
from click.testing import CliRunner

from gmm_fast.cli.main import main
from gmm_fast.page import write_page

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",  # which root may not have; the pages are the tests' own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing():
    """What there is no browser test without, or None."""
    if not any(map(shutil.which, BROWSERS)):
        return "there is no Chromium on the path (apt-get install chromium)"
    if shutil.which("chromedriver") is None:
        return "there is no chromedriver on the path (apt-get install chromium-driver)"
    return None


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """A browser."""
    if missing() is not None:
        if os.environ.get("GMM_FAST_BROWSER") == "required":
            pytest.fail(missing())
        pytest.skip(missing())
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, BROWSERS)))
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # named, so that selenium looks for none in the network
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("no_proxy", "NO_PROXY"):  # the driver is on this machine
            patch.setenv(name, "localhost,127.0.0.1")
        browser = webdriver.Chrome(options, service)
        browser.get("about:blank")
        yield browser
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # of selenium's own pipes
            browser.quit()


@pytest.fixture
def opened(driver):
    """A function that opens a file at a width; everything is as new after the test."""

    def of(path, width=1200, scheme="light", scripts=True):
        driver.get_log("browser"), driver.get_log("performance")  # of the page before
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        driver.get(Path(path).absolute().as_uri())
        return driver

    yield of
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of a search."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    best = pages.fit(events=["feature 1 (counting from 0) is constant"])
    features = ["FSC", "a column of a long name, " * 9]
    facts = pages.facts(best, data=pages.data(name="n" * 300, features=features))
    write_page(path, facts, pages.rows(), pages.PICTURES)
    return path


def requests(driver):
    """URLs that were asked for since the page was opened."""
    found = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        asked = message["params"]
        if message["method"] != "Network.requestWillBeSent":
            continue
        if not asked["documentURL"].startswith("chrome"):  # the browser's own first page
            found.append(asked["request"]["url"])
    return found


def column(driver, j):
    """Texts of a column of the candidates."""
    return driver.execute_script(
        "return [...document.querySelector('#candidates').tBodies[0].rows]"
        f".map((row) => row.cells[{j}].textContent)"
    )


def overflow(driver):
    """How far the page is wider than its window, in pixels."""
    return driver.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def test_it_loads_itself_and_nothing_else(opened, report):
    driver = opened(report)
    urls = requests(driver)
    assert report.as_uri() in urls
    assert {url for url in urls if not url.startswith("data:")} == {report.as_uri()}
    assert driver.get_log("browser") == []
    widths = driver.execute_script("return [...document.images].map((i) => i.naturalWidth)")
    assert widths == [40, 4]


def test_what_is_wrong_would_be_seen(opened, report, tmp_path):
    """The checks above can fail: the policy stops a page that loads something, and is logged."""
    html = report.read_text()
    more = "<img src='https://example.invalid/a.png' alt=''><script src='b.js'></script>"
    (tmp_path / "bad.html").write_text(html.replace("<main>", f"<main>{more}"))
    driver = opened(tmp_path / "bad.html")
    log = [entry["message"] for entry in driver.get_log("browser")]
    assert sum("Content Security Policy" in message for message in log) == 2
    # and so are requests, without the policy
    (tmp_path / "bad.html").write_text(f"{more}<p>no policy</p>")
    driver = opened(tmp_path / "bad.html")
    assert (tmp_path / "b.js").as_uri() in requests(driver)


def test_what_it_says(opened, report):
    driver = opened(report)
    text = driver.execute_script("return document.body.innerText")
    for part in (
        pages.COMMAND,
        "BIC is lowest for 3 components",
        "the best is at the upper end of the range",
        "feature 1 (counting from 0) is constant",
        "5 components are too many for these samples",
    ):
        assert part in text
    assert len(column(driver, 0)) == len(pages.rows())
    assert driver.title.startswith("Gaussian mixture search of nnn")


def test_a_click_on_a_header_sorts(opened, report):
    from selenium.webdriver.common.by import By

    driver = opened(report)
    heads = driver.find_elements(By.CSS_SELECTOR, "#candidates thead th")
    j = [head.text for head in heads].index("BIC")
    before = column(driver, j)
    button = heads[j].find_element(By.TAG_NAME, "button")

    def sort():
        driver.execute_script("arguments[0].scrollIntoView()", button)
        button.click()
        *values, last = column(driver, j)
        assert last == "–"  # what has no value is last either way
        return [float(value.replace(",", "")) for value in values]

    up = sort()
    assert heads[j].get_attribute("aria-sort") == "ascending"
    assert up == sorted(up)
    assert column(driver, j) != before
    assert sort() == up[::-1]
    assert heads[j].get_attribute("aria-sort") == "descending"
    heads[1].find_element(By.TAG_NAME, "button").click()
    families = column(driver, 1)
    assert families == sorted(families)
    assert heads[j].get_attribute("aria-sort") is None
    assert len(families) == len(before)


def test_it_works_without_scripts(opened, report):
    from selenium.webdriver.common.by import By

    driver = opened(report, scripts=False)
    assert not driver.find_elements(By.TAG_NAME, "button")
    assert len(driver.find_elements(By.CSS_SELECTOR, "#candidates tbody tr")) == len(pages.rows())
    assert "BIC is lowest" in driver.find_element(By.TAG_NAME, "main").text


@pytest.mark.parametrize("width", [360, 390, 768, 1200, 2500])
def test_nothing_hangs_over(opened, report, width):
    driver = opened(report, width)
    assert overflow(driver) <= 0
    boxes = driver.execute_script(
        "return [...document.querySelectorAll('main *:not(.scroll *)')]"
        ".map((e) => e.getBoundingClientRect()).filter((b) => b.width)"
        ".map((b) => [b.left, b.right])"
    )
    assert min(left for left, _ in boxes) >= 0
    assert max(right for _, right in boxes) <= width
    if width == 360:  # there is something to scroll, in its box
        assert driver.execute_script(
            "const box = document.querySelector('#candidates').parentElement;"
            "return box.scrollWidth > box.clientWidth"
        )


def contrast(driver, selector):
    """Contrast of text with what it is on (WCAG 2, relative luminance)."""
    colours = driver.execute_script(
        f"let e = document.querySelector({json.dumps(selector)});"
        "const colour = getComputedStyle(e).color;"
        "while (getComputedStyle(e).backgroundColor === 'rgba(0, 0, 0, 0)') e = e.parentElement;"
        "return [colour, getComputedStyle(e).backgroundColor]"
    )
    found = []
    for colour in colours:
        parts = np.array([float(p) for p in colour.strip("rgba()").split(",")[:3]]) / 255
        linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        found.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(found) + 0.05) / (min(found) + 0.05), found


TEXTS = (
    "h1", ".soft", ".choice", "#command", ".warnings li", ".notes li", ".tiles dt", ".tiles dd",
    "#candidates th", "#candidates td", ".chosen td", ".best", ".failed td", "figcaption",
    "summary", ".facts th", "a",
)  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_can_be_read(opened, report, scheme):
    driver = opened(report, scheme=scheme)
    _, (text, paper) = contrast(driver, "h1")
    assert (text > paper) == (scheme == "dark")
    for selector in TEXTS:
        assert contrast(driver, selector)[0] >= 4.5, selector


def test_print(opened, report):
    """Black on white also for those whose screens are dark, and no box that cuts what is in it."""
    driver = opened(report, scheme="dark")
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    assert contrast(driver, "h1")[1] == [0, 1]
    boxes = (
        "return [...document.querySelectorAll('.scroll')].map((b) => getComputedStyle(b).overflowX)"
    )
    assert set(driver.execute_script(boxes)) == {"visible"}


def test_users_text_does_nothing(opened, tmp_path, monkeypatch):
    """Names of a file and of columns that would run, by the command line."""
    from selenium.common.exceptions import NoAlertPresentException

    monkeypatch.chdir(tmp_path)
    attack = pages.ATTACKS[0]
    rows = np.random.default_rng(0).normal(size=(60, 2))
    lines = [f'"{attack}","<script>alert(2)</script>"', *(f"{a},{b}" for a, b in rows)]
    Path(f"{attack}.csv").write_text("\n".join(lines))
    call = ["search", "1", "2", f"{attack}.csv", "--no-model", "--report", "report.html"]
    result = CliRunner().invoke(main, call, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    driver = opened(tmp_path / "report.html")
    with pytest.raises(NoAlertPresentException):
        _ = driver.switch_to.alert
    assert driver.execute_script("return document.scripts.length") == 1
    sources = driver.execute_script("return [...document.images].map((i) => i.src)")
    assert all(source.startswith("data:") for source in sources)
    text = driver.execute_script("return document.body.innerText")
    assert attack in text
    assert "<script>alert(2)</script>" in text
    assert driver.get_log("browser") == []
    assert overflow(driver) <= 0
