"""Building blocks for projects on images. Import what you need from the modules below; each is light until it works.

::

    images       Images: pixels, labels, folds and sizes as numpy arrays, and their codec
    idx          the files of MNIST and Fashion-MNIST
    reading      pictures as callers have them (files, folders, bytes, arrays) made into Images
    quality      brightness, contrast and sharpness of each image
    checks       what a set of images must be: Pandera, Great Expectations and rules of our own, one report
    recipe       what params.yaml says of a network and of its training
    networks     a small convolutional and a residual network, and how any network is built
    backbones    EfficientNet-Lite0 with its published weights; hub: any published backbone by its name
    training     the one loop that trains them, with losses, sampling, schedules, shards, checkpoints and device
    heads        a linear head on the features of a frozen network
    transfer     candidates: from scratch, on frozen features, fine-tuned
    model        what is kept of a trained network, its predictions, and its codec
    augment      random changes to whole batches while training
    near         images that look alike, found among all pairs
    explore      what the data are like, as a page for people
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Read once, when torch is first imported: threads that wait for work sleep. They spin otherwise, and two of them beside another
# busy process are ten times slower than one.
