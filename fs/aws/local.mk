# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libaws.a
libaws_a_SOURCES =
EXTRA_DIST += %D%/README.md
