"""Tables, schemas, media, readers of modalities, splits and batches."""

from plait.data.schema import Column, Modality, Schema
from plait.data.table import Table, read_table

__all__ = ["Column", "Modality", "Schema", "Table", "read_table"]
