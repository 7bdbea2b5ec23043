/* SPDX-License-Identifier: Apache-2.0 */
package imageserver;

import java.io.IOException;
import org.springframework.core.io.Resource;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PutMapping;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.multipart.MultipartFile;
import org.springframework.web.server.ResponseStatusException;

/** A user's profile picture: one file whose name never changes. */
@RestController
@RequestMapping("/api/users/{user:[A-Za-z0-9_-]{1,64}}/avatar")
public class AvatarController {
    private final ImageStorage storage;

    public AvatarController(ImageStorage storage) {
        this.storage = storage;
    }

    @PutMapping
    @ResponseStatus(HttpStatus.NO_CONTENT)
    public void replace(@PathVariable String user, @RequestParam("file") MultipartFile file)
            throws IOException {
        storage.replaceByMove(nameOf(user), file);
    }

    @PutMapping("/copy")
    @ResponseStatus(HttpStatus.NO_CONTENT)
    public void replaceByCopy(@PathVariable String user, @RequestParam("file") MultipartFile file)
            throws IOException {
        storage.replaceByCopy(nameOf(user), file);
    }

    @GetMapping
    public ResponseEntity<Resource> get(@PathVariable String user) {
        Resource picture = storage.load(nameOf(user));
        if (!picture.exists()) {
            throw new ResponseStatusException(HttpStatus.NOT_FOUND);
        }
        return ResponseEntity.ok().contentType(MediaType.IMAGE_JPEG).body(picture);
    }

    private static String nameOf(String user) {
        return "avatar-" + user + ".jpg";
    }
}
