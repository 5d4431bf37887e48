"""Nightly worlds whose files and configuration change."""

import numpy as np
import pandas as pd

from trials.nightly_world import START, World


def edit(world, old, new):
    text = world.path.read_text()
    assert old in text
    world.path.write_text(text.replace(old, new))


def files(world, kind="predictions"):
    return sorted((world.folder / kind).glob("*"))


def fresh(world, folder):
    """Return a world with the same files and configuration, but no store."""
    import shutil

    other = object.__new__(World)
    shutil.copytree(world.folder, folder)
    for file in folder.glob("deadreckon.db*"):
        file.unlink()
    other.folder, other.path = folder, folder / "nightly.toml"
    other.rows, other.n_days = world.rows, world.n_days
    return other


def declined(tmp_path):
    world = World(tmp_path / "declined", n_days=15)
    late = world.rows["time"] > START + pd.Timedelta(days=8)
    coin = np.random.default_rng(0).random(len(world.rows)) < 0.5
    world.rows["y_true"] = np.where(late, coin, world.rows["y_true"]).astype(int)
    world.rows["labeled_at"] = world.rows["time"] + pd.Timedelta(minutes=1)
    return world
