"""Building blocks for projects on images. Import what you need from the modules below; each is light until it works.

::

    images       Images: pixels, labels, folds and sizes as numpy arrays, and their codec
    idx          the files of MNIST and Fashion-MNIST
    reading      pictures as callers have them (files, folders, bytes, arrays) made into Images
    quality      brightness, contrast and sharpness of each image
    checks       what a set of images must be: Pandera, Great Expectations and rules of our own, one report
    augment      random changes to whole batches while training
    near         images that look alike, found among all pairs
    explore      what the data are like, as a page for people
"""
