"""The report in a real browser: filter, sort, open, links, the keyboard, a phone, a dark page, and no request."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.large_project import large
from tests.support.project import Project

pytestmark = pytest.mark.slow
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A started browser."""
    if BROWSER is None:
        pytest.skip("no chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A page of the report, with what it said in the console and what it asked for."""

    def __init__(self, chromium: Any, project: Project, fragment: str = "", **context: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page = chromium.new_context(**context).new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto((project.folder / "report/index.html").as_uri() + fragment)
        self.page.wait_for_selector("#explorer[data-ready]")

    def changes(self) -> list[float]:
        """The changes of the queries that are listed."""
        texts = self.page.locator("#queries summary .change").all_inner_texts()
        return [float(text.replace("−", "-").replace("±", "")) for text in texts]

    def count(self) -> int:
        return int(self.page.inner_text("#count").split(" of ")[0])


def test_it_says_nothing_in_the_console_and_asks_for_nothing(chromium: Any, pipeline: Project) -> None:
    opened = Opened(chromium, pipeline)
    opened.page.locator("#queries summary").first.click()
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith("file:")] == []
    assert len(opened.asked) == 1


def test_queries_are_filtered_by_set_change_and_words(chromium: Any, pipeline: Project) -> None:
    opened = Opened(chromium, pipeline)
    every = opened.count()
    assert every == 4 * 30  # two sets of each of two tracks
    opened.page.select_option("#which", "0")
    assert opened.count() == 30
    opened.page.select_option("#which", "all")
    by_kind = []
    for kind in ("won", "lost", "tied"):
        opened.page.select_option("#kind", kind)
        by_kind.append(opened.count())
    assert sum(by_kind) == every
    opened.page.select_option("#kind", "all")
    query = opened.page.locator("#queries summary .asked").first.inner_text()
    opened.page.fill("#words", query.upper())
    assert 1 <= opened.count() < every
    assert query in opened.page.locator("#queries summary .asked").first.inner_text()


def test_queries_are_sorted_and_more_of_them_come(chromium: Any, pipeline: Project) -> None:
    opened = Opened(chromium, pipeline)
    assert opened.changes() == sorted(opened.changes())
    opened.page.select_option("#order", "won")
    assert opened.changes() == sorted(opened.changes(), reverse=True)
    assert len(opened.changes()) == 50
    while opened.page.is_visible("#more"):
        opened.page.click("#more")
    assert len(opened.changes()) == opened.count()


def test_a_query_opens_by_the_keyboard_in_the_order_of_the_student(chromium: Any, pipeline: Project) -> None:
    opened = Opened(chromium, pipeline)
    opened.page.locator("#queries summary").first.focus()
    opened.page.keyboard.press("Enter")
    rows = opened.page.locator("#queries details").first.locator("tbody tr")
    rows.first.wait_for()
    assert rows.count() == 7  # one positive and six negatives, of the small pipeline
    after = [rows.nth(place).locator("td").first.inner_text().split()[0] for place in range(7)]
    assert after == [str(place) for place in range(1, 8)]
    assert rows.filter(has=opened.page.locator("[aria-label=positive]")).count() >= 1


def test_the_address_of_an_opened_query_leads_back_to_it(chromium: Any, pipeline: Project) -> None:
    opened = Opened(chromium, pipeline)
    details = opened.page.locator("#queries details").nth(3)
    details.locator("summary").click()
    opened.page.wait_for_function("location.hash.startsWith('#query=')")
    fragment, query = opened.page.evaluate("location.hash"), details.locator(".asked").inner_text()
    again = Opened(chromium, pipeline, fragment)
    there = again.page.locator("#queries details[open]")
    assert there.count() == 1
    assert there.locator(".asked").inner_text() == query


def test_a_phone_and_a_dark_page(chromium: Any, pipeline: Project) -> None:
    phone = Opened(chromium, pipeline, viewport={"width": 390, "height": 800})
    phone.page.locator("#queries summary").first.click()
    assert phone.page.evaluate("document.documentElement.scrollWidth") == 390
    dark = Opened(chromium, pipeline, color_scheme="dark")
    colours = dark.page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert colours == ["rgb(22, 27, 33)", "rgb(228, 233, 238)"]


def test_four_thousand_queries_of_thirty_candidates_fit_into_five_megabytes(
    chromium: Any, pipeline: Project, tmp_path: Path
) -> None:
    project = large(pipeline, tmp_path / "large", queries=4000, candidates=30)
    project.run("python", "-m", "stages.report")
    assert (project.folder / "report/index.html").stat().st_size < 5_000_000
    opened = Opened(chromium, project)
    every = opened.count()
    assert every >= 400  # the rest is left out, and the page says so
    assert f"{4000 + 30 - every} queries that changed least are left out" in opened.page.inner_text("body")
    opened.page.select_option("#kind", "lost")
    assert 0 < opened.count() < every
    opened.page.locator("#queries summary").first.click()
    opened.page.wait_for_selector("#queries details[open] tbody tr")
    assert opened.page.locator("#queries details[open] tbody tr").count() in (7, 30)
    assert opened.said == []


def test_the_page_of_two_checkpoints_works_as_the_report_does(chromium: Any, pipeline: Project, tmp_path: Path) -> None:
    project = pipeline.copy(tmp_path / "a project")
    project.decant("compare", "HEAD", "workspace", "--html", "report/index.html")
    opened = Opened(chromium, project)
    assert opened.count() == 4 * 30
    assert {*opened.changes()} == {0.0}
    opened.page.locator("#queries summary").first.click()
    opened.page.wait_for_selector("#queries details[open] tbody tr")
    assert opened.page.locator("#queries details[open] tbody tr").count() == 7
    assert opened.said == []
    assert len(opened.asked) == 1


def test_an_address_of_no_query_is_told(chromium: Any, pipeline: Project) -> None:
    opened = Opened(chromium, pipeline, "#query=embedding/icd10/99999")
    assert "this page does not have" in opened.page.inner_text("#count")
