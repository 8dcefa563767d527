"""Make the font of the formulas, book/static/fonts/latinmodern-math.woff2, from the whole of Latin Modern Math.

    python -m tools.math_font latinmodern-math.otf

Only who wants another font or more of its letters needs this, and `pip install brotli`; what it makes is in git. The
whole font (version 1.959, GUST e-foundry; Debian: fonts-lmodern) is ten times as large, most of it alphabets that no
formula here uses and designs of their own for indices.
"""

import sys
from pathlib import Path

from fontTools import subset

from tools.chapters import ROOT

FONT = ROOT / "book" / "static" / "fonts" / "latinmodern-math.woff2"
# Latin, Greek, the usual operators, relations, arrows and fences; bold, italic, script and double-struck letters.
LETTERS = (
    "20-7E A0 A8 AC AF B1 B4 B7 D7 F7 131 237 2C6 2C7 2D8 2D9 2DC 300-304 306-308 30A 30C 393-3A9 3B1-3C9 3D1 3D5 3D6 "
    "3F1 3F5 2013 2014 2016 2018-201D 2020-2022 2026 2032-2034 203E 2044 2061-2064 2102 210B 210E 2110-2113 2115 "
    "2119-211D 2124 212C 2130 2131 2133 2190-2194 21A6 21D0-21D4 2200 2202 2203 2205-220B 220F 2211-2213 2216-221E "
    "2223 2225-222C 2234 2235 223C 2243 2245 2248 2254 2260 2261 2264 2265 226A 226B 2282-2287 2295-2299 22A2-22A5 "
    "22C0-22C3 22C5 22EE-22F1 2308-230B 23B4 23B5 23DE 23DF 27E8 27E9 27F5-27FA 2A7D 2A7E 1D400-1D4CF 1D538-1D550 "
    "1D6A8-1D755 1D7CE-1D7D7"
)
PRIMES = range(0x2032, 0x2035)  # drawn for exponents: the only letters whose designs for indices are needed
# Browsers drop every index by how deep its letter reaches; TeX does so only below what is no single letter, and lowers
# an index less where no exponent stands above it. Thousandths of an em.
CONSTANTS = {"SubscriptShiftDown": 180, "SubscriptBaselineDropMin": -20, "SuperscriptBaselineDropMax": 386}


def main(whole: Path) -> None:
    """Write the part of the font that the book needs."""
    options = subset.Options(flavor="woff2", hinting=False, desubroutinize=True, layout_features=[])
    options.drop_tables += ["FFTM"]
    font = subset.load_font(whole, options)
    primes = {prime: f"{font.getBestCmap()[prime]}.st" for prime in PRIMES}
    for table in font["cmap"].tables:
        if table.isUnicode():
            table.cmap.update(primes)
    chosen = subset.Subsetter(options)
    chosen.populate(unicodes=subset.parse_unicodes(LETTERS.replace(" ", ",")))
    chosen.subset(font)
    for name, value in CONSTANTS.items():
        getattr(font["MATH"].table.MathConstants, name).Value = value
    FONT.parent.mkdir(exist_ok=True)
    subset.save_font(font, FONT, options)
    print(f"{FONT.relative_to(ROOT)}: {FONT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
