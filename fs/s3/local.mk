# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libs3.a
libs3_a_SOURCES =
EXTRA_DIST += %D%/README.md
