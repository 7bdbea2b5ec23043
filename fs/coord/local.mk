# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libcoord.a
libcoord_a_SOURCES = %D%/coord.c %D%/internal.h %D%/judge.c %D%/record.c %D%/record.h \
                     %D%/session.c include/coord/coord.h include/coord/session.h
libcoord_a_SOURCES += %D%/link.c
libcoord_a_SOURCES += include/coord/link.h
libcoord_a_SOURCES += %D%/claim.c
libcoord_a_SOURCES += %D%/intent.c
libcoord_a_SOURCES += include/coord/intent.h
libcoord_a_SOURCES += %D%/lockset.c %D%/lockrec.c %D%/lockrec.h %D%/share.c
libcoord_a_SOURCES += include/coord/lockset.h include/coord/share.h
libcoord_a_SOURCES += %D%/reserve.c
libcoord_a_SOURCES += include/coord/reserve.h
libcoord_a_SOURCES += %D%/survey.c
libcoord_a_SOURCES += include/coord/survey.h
EXTRA_DIST += %D%/README.md
