"""The pictures with their captions and, for those who cannot see them, descriptions."""

from typing import Any

from snn_deploy.costs.energy import TOTAL, parts_within
from snn_deploy.profile.profile import Profile
from snn_deploy.report.headline import known_parts, mean_energy
from snn_deploy.report.markup import Html, element, section, together
from snn_deploy.report.pictures import (
    in_page,
)
from snn_deploy.report.units import number, percent

Summary = dict[str, Any]


def figures(profile: Profile, summary: Summary) -> Html:
    """Return the section of pictures; one that would say nothing is a sentence."""
    shown = [
        _timesteps(profile, summary),
        _accuracy(profile, summary),
        *_energy(profile, summary),
    ]
    return section("Pictures", element("div", *shown, class_="figures"))


def _timesteps(profile: Profile, summary: Summary) -> Html:
    title, n_timesteps = "When inputs are decided", summary["timesteps"]
    if not profile.has_cutoff:
        return _instead(title, f"No cutoff: every input took {n_timesteps} timesteps.")
    means = summary["with_cutoff"]
    n, stopped = summary["n_inputs"], int(profile.rows.column("stopped_early").sum())
    caption = (
        f"Measured: {stopped:,} of {n:,} inputs stop before timestep {n_timesteps}; "
        "the mean is "
        f"{number(means['mean_timesteps'])}."
    )
    return _figure(title, "timesteps", profile, caption)


def _accuracy(profile: Profile, summary: Summary) -> Html:
    title = "Accuracy against timesteps"
    curve = summary["accuracy_at_timestep"]
    if not curve:
        return _instead(title, "Unknown: the data have no labels.")
    caption = (
        "Measured. Line: every input stopped at the same timestep, "
        f"{percent(curve[0])} at the first, {percent(curve[-1])} at the last."
    )
    if profile.has_cutoff:
        means = summary["with_cutoff"]
        caption += (
            f" Diamond: the cutoff, {percent(means['accuracy'])} at a mean of "
            f"{number(means['mean_timesteps'])} timesteps."
        )
    return _figure(title, "accuracy", profile, caption)


def _energy(profile: Profile, summary: Summary) -> list[Html]:
    fixed = summary["all_timesteps"]
    known = known_parts(fixed)
    if not known:
        text = "Unknown: the target has no public price of energy."
        return [_instead("Energy of an input", text)]
    runs = [("all timesteps", fixed)]
    if profile.has_cutoff:
        runs.insert(0, ("with the cutoff", summary["with_cutoff"]))
    means = "; ".join(f"{name} {mean_energy(run)}" for name, run in runs)
    missing = [part for part in parts_within(TOTAL) if part not in known]
    left_out = f" Unknown, and left out: {', '.join(missing)}." if missing else ""
    drawn = [p for p in known if any(run[f"mean_energy_{p}_j"] for _, run in runs)]
    key = [together([element("i", class_=f"key {part}"), f"{part} "]) for part in drawn]
    what = f"Modelled, mean at central prices, up to the board: {means}.{left_out}"
    parts = together([element("span", *key, class_="keys"), what])
    spread = "Modelled, up to the board. Filled: at central prices. Outlines: at low "
    spread += f"and high prices.{left_out}"
    return [
        _figure("Energy of an input, by part", "parts", profile, parts),
        _figure("Energy, input by input", "spread", profile, spread),
    ]


def _figure(
    title: str,
    picture: str,
    profile: Profile,
    caption: str,
) -> Html:
    """Return the drawing; the caption says in words what it shows."""
    drawn = in_page(picture, profile)
    named = Html(drawn.replace("<svg", f'<svg role="img" aria-label="{title}"', 1))
    return element(
        "figure", element("h3", title), named, element("figcaption", caption)
    )


def _instead(title: str, text: str) -> Html:
    return element("figure", element("h3", title), element("p", text))
