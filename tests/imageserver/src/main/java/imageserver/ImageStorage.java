/* SPDX-License-Identifier: Apache-2.0 */
package imageserver;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.util.UUID;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.core.io.FileSystemResource;
import org.springframework.core.io.Resource;
import org.springframework.stereotype.Service;
import org.springframework.util.StringUtils;
import org.springframework.web.multipart.MultipartFile;

/** Pictures as plain files of one directory. */
@Service
public class ImageStorage {
    private final String dir;

    public ImageStorage(@Value("${image.dir}") String dir) {
        this.dir = dir;
    }

    /** Stores an upload under a new name and returns the name. */
    public String store(MultipartFile file) throws IOException {
        String name = UUID.randomUUID() + extension(file);
        try (InputStream in = file.getInputStream()) {
            Files.copy(in, Paths.get(dir, name));
        }
        return name;
    }

    /** Replaces a picture under its name; a reader sees the old one or the new one. */
    public void replaceByMove(String name, MultipartFile file) throws IOException {
        Path temp = Paths.get(dir, "." + name + "." + UUID.randomUUID() + ".tmp");
        try (InputStream in = file.getInputStream()) {
            Files.copy(in, temp);
            Files.move(temp, Paths.get(dir, name), StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            Files.deleteIfExists(temp);
            throw e;
        }
    }

    /** Replaces a picture under its name in the short way: delete, then write anew. */
    public void replaceByCopy(String name, MultipartFile file) throws IOException {
        try (InputStream in = file.getInputStream()) {
            Files.copy(in, Paths.get(dir, name), StandardCopyOption.REPLACE_EXISTING);
        }
    }

    public Resource load(String name) {
        return new FileSystemResource(Paths.get(dir, name));
    }

    public void delete(String name) throws IOException {
        Files.deleteIfExists(Paths.get(dir, name));
    }

    private static String extension(MultipartFile file) {
        String ext = StringUtils.getFilenameExtension(file.getOriginalFilename());
        return ext != null && ext.matches("[A-Za-z0-9]{1,8}") ? "." + ext : "";
    }
}
