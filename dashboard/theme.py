"""The one theme: fonts of the machine, a calm scale, and colours that everybody can tell apart."""

from typing import Any

# Okabe and Ito's palette, safe for all common kinds of colour blindness; the text on it is checked
# for contrast in light and dark. https://jfly.uni-koeln.de/color/
BLUE = "#0072B2"
ORANGE = "#D55E00"
SAND = "#E69F00"
GREY = "#8a929c"
SANS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
BRAND = [
    *("#e8f4fb", "#cfe6f4", "#9ecbe8", "#6aafdb", "#3f97cf", "#2187c5", "#0d7cbc", "#0069a6"),
    *("#005d95", "#004f80"),
]

THEME: dict[str, Any] = {
    "fontFamily": SANS,
    "headings": {"fontFamily": SANS, "fontWeight": "650"},
    "colors": {"brand": BRAND},
    "primaryColor": "brand",
    "primaryShade": {"light": 8, "dark": 7},
    "defaultRadius": "md",
    "components": {
        "Paper": {"defaultProps": {"withBorder": True, "p": "md"}},
        "Select": {"defaultProps": {"comboboxProps": {"withinPortal": True}}},
    },
}

FIGURE_LAYOUT: dict[str, Any] = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": SANS, "size": 13},
    "margin": {"l": 56, "r": 12, "t": 8, "b": 46},
    "colorway": [BLUE, ORANGE, GREY, SAND],
    "hovermode": "closest",
    "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
    "dragmode": False,
}
FIGURE_CONFIG = {"displayModeBar": False, "responsive": True, "displaylogo": False}
