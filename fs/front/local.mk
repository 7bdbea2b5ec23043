# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libfront.a
libfront_a_SOURCES =
EXTRA_DIST += %D%/README.md
