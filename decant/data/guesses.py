"""Guess the encoding of bytes that are not UTF-8."""

import re

from charset_normalizer import from_bytes

SAMPLE = 256 << 10  # bytes that are looked at
UTF_8 = "utf-8"
# Where two explain the bytes equally well, the one that is named first is the likelier.
LIKELY = (
    *("gbk", "gb18030", "big5", "cp950", "big5hkscs", "shift_jis", "cp932", "euc_jp", "euc_kr", "cp949"),
    *("cp1252", "cp1251", "koi8_r", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "cp1258", "cp874"),
)
# A character of UTF-8 that is not ASCII. Texts of other encodings hold few such sequences, and by accident.
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
ENOUGH = 8  # characters that make UTF-8 certain


def likely(sample: bytes) -> str | None:
    """The likely encoding of bytes that are not ASCII alone, by Python's name; None where there is no saying.

    It is `utf-8` where nearly all of what is not ASCII is valid UTF-8.
    """
    if len(sample) >= SAMPLE:  # whole lines, for the cut may go through a character
        sample = sample[: sample.rfind(b"\n", 0, SAMPLE) + 1] or sample[:SAMPLE]
    characters = _MULTIBYTE.findall(sample)
    others = len(_NOT_ASCII.findall(sample)) - sum(map(len, characters))
    if len(characters) >= ENOUGH and len(characters) > 10 * others:
        return UTF_8
    matches = [match for match in from_bytes(sample, cp_isolation=list(LIKELY)) if match.encoding in LIKELY]
    if not matches:
        return None
    best = min((match.chaos, -match.coherence) for match in matches)
    names = {
        name
        for match in matches
        if (match.chaos, -match.coherence) == best
        for name in match.could_be_from_charset
        if name in LIKELY
    }
    return min(names, key=LIKELY.index)
