# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libaws.a
libaws_a_SOURCES = include/aws/sigv4.h include/aws/endpoint.h include/aws/cred.h \
	%D%/sigv4.c %D%/endpoint.c %D%/region.h %D%/url.c %D%/url.h %D%/env.c %D%/env.h \
	%D%/ini.c %D%/ini.h %D%/profile.c %D%/profile.h %D%/settings.c \
	%D%/cred.c %D%/cred_source.h %D%/cred_chain.c %D%/cred_env.c %D%/cred_profile.c %D%/cred_webid.c \
	%D%/cred_container.c %D%/cred_ask.c %D%/cred_reply.c %D%/cred_reply.h
EXTRA_DIST += %D%/README.md
