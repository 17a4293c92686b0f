from tools import write_settings


def test_settings_page_is_current():
    current = write_settings.PAGE.read_text(encoding="utf-8")
    assert current == write_settings.page(), "run `python -m tools.write_settings`"
