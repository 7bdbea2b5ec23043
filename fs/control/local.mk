# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libcontrol.a
libcontrol_a_SOURCES =
EXTRA_DIST += %D%/README.md
