# SPDX-License-Identifier: Apache-2.0
# The benchmark; run by hand (tests/bench/run), not by "make check": see README.md.
EXTRA_DIST += %D%/README.md %D%/run
EXTRA_DIST += %D%/measure.py
EXTRA_DIST += %D%/rows.py
EXTRA_DIST += %D%/sides.py
EXTRA_DIST += %D%/tables.py

noinst_PROGRAMS += %D%/load %D%/raw
%C%_load_SOURCES = %D%/load.c %D%/pool.c %D%/pool.h
%C%_raw_SOURCES = %D%/raw.c %D%/pool.c %D%/pool.h
%C%_raw_LDADD = $(LIBS_aws)
