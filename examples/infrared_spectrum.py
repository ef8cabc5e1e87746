"""Infrared spectrum of a run, from its dipoles.

    so3krates md examples/ac_ala3_nhme.pdb --ensemble nve --equilibrate 2ps --time 20ps \
        --save-every 2fs --predictions --output run
    python examples/infrared_spectrum.py run/predictions.csv

The classical spectrum is the Fourier transform of the autocorrelation of the dipole's velocity, which contains the
harmonic quantum correction already. Classical nuclei: bands lie where the model puts them, stretches to hydrogen
some 5 % above experiment; intensities are relative. Writes infrared.csv and infrared.png beside the input.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

SPEED_OF_LIGHT = 0.0299792458  # cm/ps: frequency in 1/ps = wavenumber in 1/cm times this


def read_dipoles(path: Path) -> tuple[float, np.ndarray]:
    """Interval (ps) and dipoles (frames, 3) of a predictions.csv. Raises `ValueError` if they cannot be used."""
    table = np.genfromtxt(path, delimiter=",", names=True)
    missing = {"time_ps", "dipole_x_e_nm"} - set(table.dtype.names or ())
    if missing or table.ndim == 0 or len(table) < 16:
        raise ValueError(
            f"{path} does not hold dipoles of at least 16 frames; write them with so3krates md --predictions"
        )
    intervals = np.diff(table["time_ps"])
    interval = float(np.mean(intervals))
    if not np.allclose(intervals, interval, atol=2e-6):
        raise ValueError(f"the frames of {path} are not evenly spaced in time")
    return interval, np.stack([table[f"dipole_{axis}_e_nm"] for axis in "xyz"], axis=-1)


def infrared_spectrum(interval: float, dipoles: np.ndarray, resolution: float) -> tuple[np.ndarray, np.ndarray]:
    """Wavenumbers (1/cm) and absorption (relative, 1 at most) of dipoles (frames, 3) every `interval` ps.

    `resolution`: full width at half maximum of a sharp line, 1/cm; it takes a run of at least 33.4 ps / resolution.
    Raises `ValueError` if the run is shorter.
    """
    velocities = np.diff(dipoles, axis=0) / interval
    velocities -= velocities.mean(axis=0)  # a charged molecule that drifts
    count = len(velocities)
    lags = round(1 / (SPEED_OF_LIGHT * resolution * interval))  # Hann's window: width = 1 / longest lag
    if lags > count:
        raise ValueError(
            f"a resolution of {resolution:g} 1/cm needs {lags * interval:.3g} ps, the run has "
            f"{count * interval:.3g} ps; simulate longer or ask for a coarser --resolution"
        )
    # The autocorrelation by Fourier transform; padded, so that the end does not meet the beginning.
    power = np.abs(np.fft.rfft(velocities, 2 * count, axis=0)) ** 2
    autocorrelation = np.fft.irfft(power.sum(axis=1))[:lags] / (count - np.arange(lags))
    window = np.cos(0.5 * np.pi * np.arange(lags) / lags) ** 2
    signal = autocorrelation * window
    size = 8 * lags
    spectrum = 2 * np.fft.rfft(signal, size).real - signal[0]
    frequencies = np.fft.rfftfreq(size, interval)  # 1/ps
    # A difference quotient sees fast motion damped by sinc.
    spectrum /= np.sinc(frequencies * interval) ** 2
    return frequencies / SPEED_OF_LIGHT, spectrum / spectrum.max()


def draw(path: Path, wavenumbers: np.ndarray, absorption: np.ndarray) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(wavenumbers, absorption, color="#0072B2", linewidth=1)
    axes.set(xlim=(wavenumbers[-1], 0), xlabel="wavenumber / cm$^{-1}$", ylabel="absorption (relative)")
    axes.grid(alpha=0.25)
    figure.savefig(path, dpi=130)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictions", type=Path, help="predictions.csv of a run, or what a PredictionReporter wrote")
    parser.add_argument("--resolution", type=float, default=10, help="1/cm (default 10)")
    parser.add_argument("--highest", type=float, default=4500, help="wavenumber to plot to, 1/cm (default 4500)")
    options = parser.parse_args(arguments)
    try:
        interval, dipoles = read_dipoles(options.predictions)
        wavenumbers, absorption = infrared_spectrum(interval, dipoles, options.resolution)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    shown = wavenumbers <= options.highest
    if wavenumbers[-1] < options.highest:
        print(f"note: frames every {1e3 * interval:g} fs reach to {wavenumbers[-1]:.0f} 1/cm only")
    table = np.column_stack([wavenumbers[shown], absorption[shown]])
    output = options.predictions.with_name("infrared.csv")
    np.savetxt(output, table, "%.3f,%.6g", header="wavenumber_per_cm,absorption", comments="")
    draw(output.with_suffix(".png"), *table.T)
    print(f"wrote {output} and {output.with_suffix('.png')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
