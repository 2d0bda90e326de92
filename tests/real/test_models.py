"""The blank model on real cells: embeddings of every channel, and features that tell real classes apart."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from napari_cellcls.embed import embed_crops
from napari_cellcls.models import registry, runtime
from napari_cellcls.predict import predict_embeddings
from napari_cellcls.vocabulary import finish

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def blank():
    return registry.load("blank")


def test_embeddings_of_four_channels_of_real_cells(shared_data, blank):
    from scipy import ndimage

    from napari_cellcls.cells.table import cells_from_labels
    from napari_cellcls.images.collections import find_images, open_ref

    (ref,) = find_images([shared_data / "hpa" / "field"])
    image = open_ref(ref)
    nuclei = ndimage.gaussian_filter(np.asarray(image.data[2], np.float32), 4)
    labels, _ = ndimage.label(nuclei > nuclei.mean() + nuclei.std())
    sizes = np.bincount(labels.ravel())
    labels[np.isin(labels, np.flatnonzero(sizes < 2000))] = 0
    cells = cells_from_labels(labels.astype(np.int32))
    assert len(cells) > 5
    got = finish(predict_embeddings(image, cells, blank))
    assert got.shape == (len(cells), 4 * 1280)
    assert np.isfinite(got).all()
    planes = got.reshape(len(cells), 4, 1280)
    for channel in range(4):
        assert planes[:, channel].std(axis=0).max() > 0.1
    assert np.abs(planes[:, 0] - planes[:, 1]).max() > 0.1


def test_features_tell_parasitized_cells_of_new_patients(shared_data, blank):
    from PIL import Image
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = pd.read_parquet(shared_data / "malaria_nih_50px.parquet")
    table = table.sample(600, random_state=0)
    crops = np.stack(
        [
            np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((96, 96)), np.float32)
            / 255
            for data in table["image"]
        ]
    )
    with runtime.open_engine(blank) as engine:
        features = engine.embed(crops)
        assert embed_crops(crops[:2], blank, engine).shape == (2, 3 * 1280)
    labels = (table["label"] == "Parasitized").to_numpy()
    held_out = table["patient"].isin(sorted(table["patient"].unique())[::3]).to_numpy()
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
    head.fit(features[~held_out], labels[~held_out])
    assert head.score(features[held_out], labels[held_out]) > 0.8
