"""The Models page in Airflow's UI as a person meets it: in the navigation, in both themes, by keyboard, on a narrow screen."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.integration.page.conftest import Served, Visit

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

BACKGROUND = "name => getComputedStyle(document[name]).backgroundColor"
COLOUR = "element => getComputedStyle(element).color"


@pytest.mark.parametrize("scheme", [pytest.param(s, marks=pytest.mark.screen(s, 1440)) for s in ("light", "dark")])
def test_it_opens_from_the_navigation_and_wears_airflows_colours(visit: Visit, scheme: str) -> None:
    frame = visit.open()
    expect(frame.get_by_role("row")).to_have_count(11)  # the head, eight generated projects, two shipped ones
    inner = next(one for one in visit.page.frames if one.parent_frame)
    assert inner.evaluate("document.documentElement.dataset.theme") == scheme
    assert inner.evaluate(BACKGROUND, "body") == visit.page.evaluate(BACKGROUND, "documentElement")
    assert inner.evaluate("getComputedStyle(document.body).fontFamily").split(",")[0] == "Inter"
    visit.picture(f"models-{scheme}")
    assert visit.errors == []
    assert visit.asked == {"127.0.0.1"}


def test_it_follows_a_change_of_theme(visit: Visit) -> None:
    frame = visit.open()
    heading = frame.get_by_role("heading", name="Models", level=1)
    light = heading.evaluate(COLOUR)
    visit.page.emulate_media(color_scheme="dark")
    expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
    assert heading.evaluate(COLOUR) != light


def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(visit: Visit) -> None:
    frame = visit.open()
    press, focused = visit.page.keyboard.press, frame.locator(":focus")
    frame.locator("body").evaluate("body => body.focus()")
    frame.locator("html").evaluate("() => window.focus()")
    press("Tab")
    expect(focused).to_have_text("Skip to content")
    expect(focused).to_be_in_viewport()
    press("Enter")
    expect(focused).to_have_attribute("id", "content")
    for role, name in (("searchbox", "Search"), ("checkbox", "needs attention"), ("button", "Show"), ("region", "Models")):
        press("Tab")
        expect(focused).to_have_role(role)
        expect(focused).to_have_accessible_name(re.compile(name))
        assert focused.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    press("Tab")
    expect(focused).to_have_text("Customer churn")
    press("Enter")
    expect(frame.get_by_role("heading", name="Customer churn", level=1)).to_be_visible()


def test_a_project_has_a_page_that_can_be_linked_to(visit: Visit) -> None:
    frame = visit.open()
    frame.get_by_role("link", name="Demand of region 3", exact=True).click()
    expect(frame.get_by_role("heading", name="Demand of region 3", level=1)).to_be_visible()
    expect(visit.page).to_have_url(f"{visit.served.url}/plugin/models/models/projects/region_003")
    visit.page.reload()
    expect(frame.get_by_role("table")).to_have_count(2)
    expect(frame.get_by_role("img")).to_have_count(2)
    visit.picture("models-project")
    frame.get_by_role("link", name="Models", exact=True).click()
    expect(frame.get_by_role("searchbox")).to_be_visible()
    assert visit.errors == []


def test_links_leave_the_frame(visit: Visit) -> None:
    frame = visit.open()
    row = frame.get_by_role("row", name="Demand of region 3")
    with visit.context.expect_page() as opened:
        row.get_by_role("link", name="Model card").click()
    expect(opened.value.get_by_role("heading", level=1)).to_have_text("Not here")  # generated versions have no card
    row.get_by_role("link", name="Training DAG").click()
    visit.page.wait_for_url(f"{visit.served.url}/dags/region_003_training**")


def test_search_leaves_what_matches(visit: Visit) -> None:
    frame = visit.open()
    frame.get_by_role("searchbox").fill("region 3")
    frame.get_by_role("button", name="Show").click()
    expect(frame.get_by_text("1 of 10 projects")).to_be_visible()
    expect(frame.get_by_role("searchbox")).to_have_value("region 3")


@pytest.mark.screen("light", 400)
def test_on_a_narrow_screen_nothing_is_cut_off(visit: Visit) -> None:
    frame = visit.open()
    fits = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert frame.locator("html").evaluate(fits)
    expect(frame.get_by_role("row")).to_have_count(11)  # a table still, to those who hear it
    visit.picture("models-narrow")
    frame.get_by_role("link", name="Demand of region 3", exact=True).click()
    expect(frame.get_by_role("heading", name="Demand of region 3", level=1)).to_be_visible()
    assert frame.locator("html").evaluate(fits)


def test_a_hostile_title_is_only_text(visit: Visit) -> None:
    frame = visit.open()
    expect(frame.get_by_text("<script>window.harmed")).to_be_visible()
    for one in visit.page.frames:
        assert one.evaluate("window.harmed === undefined")


def test_without_a_login_the_page_leads_to_it(browser: Browser, served: Served) -> None:
    page = browser.new_page()
    page.goto(f"{served.url}/models/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in first")
    page.get_by_role("link", name="Log in to Airflow").click()
    page.fill("input[name=username]", "vic")
    page.fill("input[name=password]", served.password("vic"))
    page.click("button[type=submit]")
    expect(page.get_by_role("heading", level=1)).to_have_text("Models")
    page.close()
