"""The colors of the report by role: of its page, light or dark, and of its files."""

from collections.abc import Mapping
from pathlib import Path
from string import Template

Colors = Mapping[str, str]  # by role

LIGHT = {
    "paper": "#fdfdfc", "card": "#f3f3f0", "ink": "#1c1d1f", "muted": "#5d6166",
    "rule": "#dcdcd7", "early": "#0068a8", "full": "#b4500a",
    # parts of the energy
    "neurocores": "#2a8c7c", "mesh": "#7fc4b5", "static": "#d2b54e", "reset": "#8a2d58",
    "links": "#4b5fa8", "injection": "#b9a3d9", "embedded": "#9aa0a6",
}  # fmt: skip
DARK = {
    "paper": "#16181b", "card": "#202327", "ink": "#e8e8e5", "muted": "#a4a9b0",
    "rule": "#363a40", "early": "#62b6ea", "full": "#f0994f",
    "neurocores": "#4cc0ad", "mesh": "#2f7f73", "static": "#ddc66b", "reset": "#d07aa4",
    "links": "#8fa0e0", "injection": "#6f5a96", "embedded": "#858c94",
}  # fmt: skip
IN_PAGE = {role: f"var(--{role})" for role in LIGHT}
LAYERS = (  # tab20: its strong colors, then their pale ones
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2",
    "#7f7f7f", "#bcbd22", "#17becf", "#aec7e8", "#ffbb78", "#98df8a", "#ff9896",
    "#c5b0d5", "#c49c94", "#f7b6d2", "#c7c7c7", "#dbdb8d", "#9edae5",
)  # fmt: skip
VIRIDIS = (  # 256 colors from dark to bright, by S. van der Walt and N. Smith (CC0)
    "44015444025645045745055946075a46085c460a5d460b5e470d60470e61471063471164471365"
    "48146748166848176948186a481a6c481b6d481c6e481d6f481f70482071482173482374482475"
    "482576482677482878482979472a7a472c7a472d7b472e7c472f7d46307e46327e46337f463480"
    "453581453781453882443983443a83443b84433d84433e85423f85424086424186414287414487"
    "4045884046883f47883f48893e49893e4a893e4c8a3d4d8a3d4e8a3c4f8a3c508b3b518b3b528b"
    "3a538b3a548c39558c39568c38588c38598c375a8c375b8d365c8d365d8d355e8d355f8d34608d"
    "34618d33628d33638d32648e32658e31668e31678e31688e30698e306a8e2f6b8e2f6c8e2e6d8e"
    "2e6e8e2e6f8e2d708e2d718e2c718e2c728e2c738e2b748e2b758e2a768e2a778e2a788e29798e"
    "297a8e297b8e287c8e287d8e277e8e277f8e27808e26818e26828e26828e25838e25848e25858e"
    "24868e24878e23888e23898e238a8d228b8d228c8d228d8d218e8d218f8d21908d21918c20928c"
    "20928c20938c1f948c1f958b1f968b1f978b1f988b1f998a1f9a8a1e9b8a1e9c891e9d891f9e89"
    "1f9f881fa0881fa1881fa1871fa28720a38620a48621a58521a68522a78522a88423a98324aa83"
    "25ab8225ac8226ad8127ad8128ae8029af7f2ab07f2cb17e2db27d2eb37c2fb47c31b57b32b67a"
    "34b67935b77937b87838b9773aba763bbb753dbc743fbc7340bd7242be7144bf7046c06f48c16e"
    "4ac16d4cc26c4ec36b50c46a52c56954c56856c66758c7655ac8645cc8635ec96260ca6063cb5f"
    "65cb5e67cc5c69cd5b6ccd5a6ece5870cf5773d05675d05477d1537ad1517cd2507fd34e81d34d"
    "84d44b86d54989d5488bd6468ed64590d74393d74195d84098d83e9bd93c9dd93ba0da39a2da37"
    "a5db36a8db34aadc32addc30b0dd2fb2dd2db5de2bb8de29bade28bddf26c0df25c2df23c5e021"
    "c8e020cae11fcde11dd0e11cd2e21bd5e21ad8e219dae319dde318dfe318e2e418e5e419e7e419"
    "eae51aece51befe51cf1e51df4e61ef6e620f8e621fbe723fde725"
)


def page_colors() -> str:
    """Return the style sheet that gives the page its colors."""
    light, dark = (
        "".join(f" --{role}: {color};" for role, color in colors.items())
        for colors in (LIGHT, DARK)
    )
    is_dark = "@media screen and (prefers-color-scheme: dark)"
    return f":root {{{light} }}\n{is_dark} {{ :root {{{dark} }} }}\n"


def graded(share: float) -> str:
    """Return a color from dark, 0, to bright, 1."""
    start = 6 * min(int(share * len(VIRIDIS) / 6), len(VIRIDIS) // 6 - 1)
    return f"#{VIRIDIS[start : start + 6]}"


def drawing_style(colors: Colors) -> str:
    """Return the style sheet of drawings in these colors."""
    text = Path(__file__).with_name("drawing.css").read_text(encoding="utf-8")
    return Template(text).substitute(colors)
