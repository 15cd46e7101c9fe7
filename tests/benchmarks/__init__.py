"""Speed and memory beside peers measured in the same run; `make bench` prints them.

Both sides of a race get the same data and one thread, and their results are compared before the
clock starts. Seconds of R packages are those of the specification, measured on other hardware:
they are printed as "given", never turned into a ratio.
"""
