# SPDX-License-Identifier: Apache-2.0
bin_PROGRAMS += s3efs
s3efs_SOURCES = %D%/main.c
s3efs_LDADD = libcontrol.a libfront.a libvfs.a libupload.a libdata.a libcache.a libs3.a libaws.a libhttp.a \
	libstore.a libbase.a $(FUSE_LIBS) $(CURL_LIBS) $(LMDB_LIBS) $(EXPAT_LIBS) $(JANSSON_LIBS) $(INIH_LIBS) \
	$(CRYPTO_LIBS) $(ZLIB_LIBS)
EXTRA_DIST += %D%/README.md
