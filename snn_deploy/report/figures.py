"""The pictures with their captions and, for those who cannot see them, descriptions."""

from typing import Any

from snn_deploy.costs.energy import TOTAL, parts_within
from snn_deploy.profile.activity import activity_of, classes_of
from snn_deploy.profile.profile import Profile
from snn_deploy.report.exhibits import figure
from snn_deploy.report.front import points_of, unbeaten
from snn_deploy.report.headline import known_parts, mean_energy
from snn_deploy.report.markup import Html, element, section
from snn_deploy.report.picture_data import DATA
from snn_deploy.report.pictures import MOST_CLASSES, PICTURES, in_page, lacks
from snn_deploy.report.units import number, percent

Summary = dict[str, Any]
OF_CLASSES = ("front", "accuracy", "classes")


def figures(profile: Profile, summary: Summary) -> Html:
    """Return the section of pictures; one that would say nothing is a sentence."""
    pictures = {
        "front": ("Accuracy against energy", _front),
        "accuracy": ("Accuracy against timesteps", _accuracy),
        "timesteps": ("When inputs are decided", _timesteps),
        "classes": ("Accuracy by class", _classes),
        "parts": ("Energy of an input, by part", _parts),
        "spread": ("Energy, input by input", _spread),
        "activity": ("Activity by layer", _activity),
    }
    if profile.has_errors:
        for name in OF_CLASSES:
            del pictures[name]
        pictures = {"error": ("Error against timesteps", _error), **pictures}
    shown = []
    for name, (title, caption) in pictures.items():
        if reason := lacks(name, profile):
            heading = element("h3", title)
            shown.append(element("figure", heading, element("p", reason)))
            continue
        drawing = Html(in_page(name, profile))
        words, data = caption(profile, summary), DATA[name](profile)
        shown.append(figure(PICTURES[name].file, title, drawing, words, data))
    return section("Pictures", element("div", *shown, class_="figures"))


def _front(profile: Profile, summary: Summary) -> str:
    ways = " ; ".join(p.text for p in unbeaten(points_of(profile))).replace(" ;", ";")
    costs = profile.at_fixed
    sampled = ""
    if costs is not None and costs.n_inputs < len(profile.rows):
        sampled = (
            f" Energies of fixed timesteps that are no schedule above are means of "
            f"{costs.n_inputs} inputs."
        )
    return (
        "Accuracy measured; energy modelled, up to the board, at central prices. "
        f"Numbers at the ends of a line: timesteps. On the front: {ways}.{sampled}"
    )


def _timesteps(profile: Profile, summary: Summary) -> str:
    means, n_timesteps = summary["with_cutoff"], summary["timesteps"]
    n, stopped = summary["n_inputs"], int(profile.rows.column("stopped_early").sum())
    return (
        f"Measured: {stopped:,} of {n:,} inputs stop before timestep {n_timesteps}; "
        "the mean is "
        f"{number(means['mean_timesteps'])}."
    )


def _accuracy(profile: Profile, summary: Summary) -> str:
    curve = summary["accuracy_at_timestep"]
    caption = (
        "Measured. Line: every input stopped at the same timestep, "
        f"{percent(curve[0])} at the first, {percent(curve[-1])} at the last; band: 95 "
        "% intervals (Wilson)."
    )
    if profile.has_cutoff:
        means = summary["with_cutoff"]
        caption += (
            f" Diamond: the cutoff, {percent(means['accuracy'])} at a mean of "
            f"{number(means['mean_timesteps'])} timesteps."
        )
    return caption


def _error(profile: Profile, summary: Summary) -> str:
    errors = summary["mean_squared_error_at_timestep"]
    return (
        "Measured, in the trained network's units. Line: every input stopped at the "
        f"same timestep, {number(errors[0])} at the first, {number(errors[-1])} at the "
        "last."
    )


def _classes(profile: Profile, summary: Summary) -> str:
    found = classes_of(profile)
    worst = found[0]
    text = (
        f"Measured, with 95 % intervals (Wilson). Lowest: class {worst.label}, "
        f"{percent(worst.n_right[0] / worst.n)} of {worst.n:,} inputs."
    )
    if len(found) > MOST_CLASSES:
        text += f" The {MOST_CLASSES} worst of {len(found)} classes; the CSV has all."
    return text


def _activity(profile: Profile, summary: Summary) -> str:
    found = activity_of(profile)
    busiest = max(found, key=lambda group: group.spikes)
    text = (
        f"Measured, means of {len(profile.rows):,} inputs"
        f"{' with the cutoff' if profile.has_cutoff else ''}. Most spikes: "
        f"{', '.join(busiest.names)}, {busiest.spikes / busiest.n_neurons:.2g} of a "
        "neuron."
    )
    if any(len(group.names) > 1 for group in found):
        text += " Layers that share a neurocore are counted together."
    return text


def _parts(profile: Profile, summary: Summary) -> str:
    runs = [("all timesteps", summary["all_timesteps"])]
    if profile.has_cutoff:
        runs.insert(0, ("with the cutoff", summary["with_cutoff"]))
    known = known_parts(summary["all_timesteps"])
    means = "; ".join(f"{name} {mean_energy(run)}" for name, run in runs)
    what = "Modelled, mean at central prices, up to the board: "
    return f"{what}{means}.{_left_out(known)}"


def _spread(profile: Profile, summary: Summary) -> str:
    spread = "Modelled, up to the board. Filled: at central prices. Outlines: at low "
    return f"{spread}and high prices.{_left_out(known_parts(summary['all_timesteps']))}"


def _left_out(known: list[str]) -> str:
    missing = [part for part in parts_within(TOTAL) if part not in known]
    return f" Unknown, and left out: {', '.join(missing)}." if missing else ""
