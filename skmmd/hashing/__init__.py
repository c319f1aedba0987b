"""MMDT: any file to a hash of fixed length, and features, neighbours and classes from it.

objects -> bytes of known length, rows of numbers -> bytes  (_inputs, _sources, _signals)
bytes -> picture -> block sums -> digest; counts of bytes   (_digest, _counts, _features)
digests -> similarities, pairs, neighbours in buckets       (_similarity, _buckets)
arrays -> a file without pickle, and back                   (_persistence)
MMDTVectorizer, MMDTIndex, MMDTClassifier check, call one of these, and store
"""

from skmmd.hashing._classifier import MMDTClassifier
from skmmd.hashing._functions import (
    mmdt_digest,
    mmdt_format,
    mmdt_hash,
    mmdt_pairs,
    mmdt_parse,
    mmdt_similarity,
    mmdt_std,
)
from skmmd.hashing._index import MMDTIndex
from skmmd.hashing._vectorizer import MMDTVectorizer

__all__ = [
    "MMDTClassifier",
    "MMDTIndex",
    "MMDTVectorizer",
    "mmdt_digest",
    "mmdt_format",
    "mmdt_hash",
    "mmdt_pairs",
    "mmdt_parse",
    "mmdt_similarity",
    "mmdt_std",
]
