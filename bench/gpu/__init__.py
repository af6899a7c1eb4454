"""`python -m bench gpu --out DIR [--peer PATH]`: what a machine with a GPU can say, in less than 8 minutes.

See bench/README.md for how to run it. The sections, with their seconds on one H200 as predicted: by
arithmetic, nothing of it was measured. Each gets the part of --budget (460 s) that its prediction has of what
is still to come; with less time a section does less, but never less than its figures need.

| section | s | of which |
|---|---|---|
| tests | 80 | pytest's start 15, compiling 90 Triton variants at 0.4, capturing 20 small trainers at 1.5 |
| kernels | 35 | compiling 27 + 30 variants at 0.3, references 5, ceilings and replays 10 |
| ceilings | 1 | measured by then: 50 products of 8192 a side at 1.4 ms |
| per_run | 100 | compile and capture 45, then at least 50 networks at 1.0 |
| at_a_time | 60 | three more trainers at 8, then at least 4 rounds of 1, 2 and 4 networks |
| profile | 10 | two runs, and reading a trace of 40,000 kernels |
| equivalence | 55 | reference networks at about 4 s; one seed again, with and without capture |
| peer | 110 | its max-autotune 80, then at least 5 turns of about 4 s |
| compiled_tests | 180 | only when it is named, by --only compiled_tests |
"""
