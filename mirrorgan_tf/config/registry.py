"""The data sets by name: the choices of `--dataset`, and where their classes are.

To add a data set, write a subclass of `mirrorgan_tf.data.registry.Dataset` and add a
line here. The class is imported when it is first needed.
"""

__all__ = ["DATASETS"]

# A folder of unknown contents is compared with the data sets in this order.
DATASETS = {
    "birdlets": "mirrorgan_tf.birdlets.registered:BirdletsDataset",
    "cub": "mirrorgan_tf.data.datasets.cub:CubDataset",
    "coco": "mirrorgan_tf.data.datasets.coco:CocoDataset",
    "folder": "mirrorgan_tf.data.datasets.folder:FolderDataset",
}
