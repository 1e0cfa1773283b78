"""A headless Chromium for the tests: whatever is installed, nothing downloaded.

Needs `selenium`, a Chromium (or Chrome) and the chromedriver that belongs to it.
"""

from __future__ import annotations

import base64
import json
import shutil
import time
from contextlib import contextmanager

import pytest

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1200,900",
]
# Before any script of the page: what the policy refused, and errors nobody caught.
WATCH = """
window.refused = []; window.failed = [];
document.addEventListener("securitypolicyviolation",
    e => window.refused.push(`${e.effectiveDirective} ${e.blockedURI}`));
window.addEventListener("error", e => window.failed.push(String(e.message)));
"""


class Browser:
    """What the tests do with a page."""

    def __init__(self, driver):
        self.driver = driver
        self.run = driver.execute_script
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=WATCH)

    def cdp(self, command, **arguments):
        return self.driver.execute_cdp_cmd(command, arguments)

    def open(self, path, *, width=1200, height=900, **media):
        """A page in a window of that size, with media features such as `color_scheme="dark"`."""
        self.media(**media)
        self.resize(width, height)
        self.driver.get(path.resolve().as_uri())
        self.wait("[...document.querySelectorAll('.chart')].every(c => c.data)")

    def media(self, kind="", **features):
        """`"print"`, and features such as `color_scheme="dark"`."""
        self.cdp(
            "Emulation.setEmulatedMedia",
            media=kind,
            features=[
                {"name": f"prefers-{name.replace('_', '-')}", "value": value}
                for name, value in features.items()
            ],
        )

    def resize(self, width, height=900):
        """A narrow window is that of a phone."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def wait(self, condition, seconds=15):
        """Until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < end, f"still not so: {condition}"
            time.sleep(0.05)

    def requests(self):
        """Addresses asked for since the last call."""
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        return [
            e["params"]["request"]["url"]
            for e in events
            if e["method"] == "Network.requestWillBeSent"
        ]

    def console(self):
        """Messages since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def pdf(self):
        return base64.b64decode(self.cdp("Page.printToPDF", preferCSSPageSize=True)["data"])

    def screenshot(self, path):
        """Of the whole page."""
        size = self.cdp("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.cdp("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def chromium(profile):
    """A browser with a fresh profile; the test is skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs the package selenium")
    from selenium.webdriver.chrome.service import Service

    names = ("chromium", "chromium-browser", "google-chrome")
    binary = next(filter(None, map(shutil.which, names)), None)
    helper = shutil.which("chromedriver")
    if not (binary and helper):
        pytest.skip("needs Chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(helper))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
