# SPDX-License-Identifier: Apache-2.0
# The real application on a mount (tests/imageserver/check).
EXTRA_DIST += %D%/README.md %D%/build %D%/run %D%/check \
	%D%/load.py %D%/server.py %D%/killer.py %D%/ledger.py %D%/pictures.py \
	%D%/pictures/small.jpg %D%/pictures/medium.jpg %D%/pictures/large.jpg %D%/pom.xml \
	%D%/src/main/java/imageserver/AvatarController.java \
	%D%/src/main/java/imageserver/Image.java \
	%D%/src/main/java/imageserver/ImageController.java \
	%D%/src/main/java/imageserver/ImageRepository.java \
	%D%/src/main/java/imageserver/ImageServer.java \
	%D%/src/main/java/imageserver/ImageStorage.java \
	%D%/src/main/resources/application.properties \
	%D%/src/main/resources/schema.sql
