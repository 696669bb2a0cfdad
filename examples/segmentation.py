"""The colours of a photograph: pixels are samples, red, green and blue their features.

    python examples/segmentation.py [FOLDER] [COMPONENTS]

fits a mixture to the 273 280 pixels of scikit-learn's china.jpg and writes china.segments.png, in
which every pixel has the mean colour of its component.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

from gmm_fast import GaussianMixture

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
n_components = int(sys.argv[2]) if len(sys.argv) > 2 else 6
picture = load_sample_image("china.jpg")
pixels = picture.reshape(-1, 3)

model = GaussianMixture(n_components, random_state=0).fit(pixels)
labels = model.predict(pixels)

colours = np.clip(np.rint(model.means_), 0, 255).astype(np.uint8)
Image.fromarray(colours[labels].reshape(picture.shape)).save(folder / "china.segments.png")

print(f"{pixels.shape[0]:,} pixels, {n_components} components, {model.n_iter_} iterations")
for k in np.argsort(-model.weights_):
    red, green, blue = colours[k]
    print(f"{model.weights_[k]:6.1%}  #{red:02x}{green:02x}{blue:02x}")
