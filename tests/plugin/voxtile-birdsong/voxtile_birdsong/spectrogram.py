"""Samples of a WAV file to a spectrogram.

Shape letters: N samples, F frequencies from 0 to half the sampling rate, T frames.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import signal

from voxtile.errors import InputError

WINDOW, HOP = 256, 128  # samples
FLOOR_DB = -96.0  # of 16 bits: 20 log10(2^-16)
SCALE_DB = 0.01  # of a stored integer


@dataclass(frozen=True)
class Sound:
    """A recording.

    Attributes:
        samples: [N] float32 in [-1, 1], the mean of the channels.
        rate: samples a second.
    """

    samples: npt.NDArray[np.float32]
    rate: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.rate


def read_wav(path: Path) -> Sound:
    """Read a WAV file of 16 bits.

    Raises:
        InputError: it is none, or shorter than a window.
    """
    try:
        with wave.open(str(path), "rb") as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            content = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise InputError(f"'{path.name}' is no WAV file ({error}); convert it with ffmpeg -i IN OUT.wav") from None
    if width != 2:
        raise InputError(f"'{path.name}' has {8 * width} bits a sample; write it with 16 (ffmpeg -c:a pcm_s16le)")
    whole = len(content) - len(content) % (2 * channels)
    samples = np.frombuffer(content[:whole], "<i2").reshape(-1, channels).mean(axis=1).astype(np.float32) / 2**15
    if len(samples) < WINDOW:
        raise InputError(f"'{path.name}' has {len(samples)} samples, fewer than one window of {WINDOW}; leave it out")
    return Sound(samples, rate)


def decibels(sound: Sound) -> npt.NDArray[np.int16]:
    """[F, T] level in units of `SCALE_DB` dB below a sine of full scale, from the lowest frequency up."""
    _, _, found = signal.stft(sound.samples, sound.rate, nperseg=WINDOW, noverlap=WINDOW - HOP, padded=False)
    level = 20 * np.log10(np.maximum(2 * np.abs(found), 10 ** (FLOOR_DB / 20)))
    return np.rint(level / SCALE_DB).astype(np.int16)
