"""An account statement as PDF, set by Typst with the fonts of this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from liushui.errors import ConfigError
from liushui.server.web.statement_texts import StatementTexts

INSTALL: Final = "pip install 'liushui[pdf]'"
LATIN_FONTS: Final = ("Noto Sans", "DejaVu Sans", "Liberation Sans", "Helvetica Neue", "Segoe UI", "Libertinus Serif")
"""Fonts for everything that is not Chinese, the best first. Typst includes the last one."""
CHINESE_FONTS: Final = {
    "zh-Hans": ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei"),
    "zh-Hant": ("Noto Sans CJK TC", "Noto Sans TC", "Source Han Sans TC", "PingFang TC", "Microsoft JhengHei"),
}
OTHER_CHINESE_FONTS: Final = ("Noto Sans CJK HK", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback")
"""Fonts for both scripts, used if no other is installed."""
REGIONS: Final = {"en": ("en", "us"), "zh-Hans": ("zh", "cn"), "zh-Hant": ("zh", "tw")}
TEMPLATE: Final = Path(__file__).parent / "templates" / "statement" / "statement.typ"


def statement_pdf(texts: StatementTexts, folders: Sequence[Path] = ()) -> bytes:
    """The PDF, on A4 with page numbers. `folders` have further fonts.

    Raises ConfigError if Typst is not installed, and if no font has the statement's Chinese characters.
    """
    try:
        import typst
    except ImportError as error:
        raise ConfigError(f"pdf: expected typst to be installed, it is not: `{INSTALL}`") from error
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"fonts: expected a folder, got {str(folder)!r}")
    fonts = typst.Fonts(font_paths=[str(folder) for folder in folders])
    lang, region = REGIONS[texts.language]
    inputs = {
        "statement": msgspec.json.encode(texts).decode(),
        "fonts": "|".join(choose_fonts(texts, fonts.families())),
        "lang": lang,
        "region": region,
    }
    try:
        pdf: bytes = typst.compile(TEMPLATE.read_bytes(), font_paths=fonts, sys_inputs=inputs, format="pdf")
    except typst.TypstError as error:
        raise ConfigError(f"pdf: {error}") from error
    return pdf


def choose_fonts(texts: StatementTexts, families: Sequence[str]) -> list[str]:
    """The installed fonts to use, the best first. Raises ConfigError if Chinese text has none."""
    known = set(families)
    latin = [name for name in LATIN_FONTS if name in known]
    first = CHINESE_FONTS.get(texts.language, ())
    others = [name for names in CHINESE_FONTS.values() for name in names if name not in first]
    chinese = [name for name in (*first, *others, *OTHER_CHINESE_FONTS) if name in known]
    if not chinese and _has_chinese(msgspec.json.encode(texts).decode()):
        wanted = ", ".join((*(first or CHINESE_FONTS["zh-Hans"]), *OTHER_CHINESE_FONTS))
        raise ConfigError(
            f"fonts: the statement has Chinese text, and none of the fonts {wanted} is installed: "
            "`apt-get install fonts-noto-cjk`, or name a folder that has one by --fonts"
        )
    return [*latin, *chinese]


def _has_chinese(text: str) -> bool:
    return any("\u2e80" <= character <= "\u9fff" or character >= "\U00020000" for character in text)
