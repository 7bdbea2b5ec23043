# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libcontrol.a
libcontrol_a_SOURCES = %D%/client.c %D%/path.c %D%/socket.c %D%/wire.c %D%/wire.h include/control/control.h
EXTRA_DIST += %D%/README.md
