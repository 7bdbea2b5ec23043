/* SPDX-License-Identifier: Apache-2.0 */
package imageserver;

import java.io.IOException;
import org.springframework.core.io.Resource;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.DeleteMapping;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.multipart.MultipartFile;
import org.springframework.web.server.ResponseStatusException;
import org.springframework.web.servlet.support.ServletUriComponentsBuilder;

@RestController
@RequestMapping("/api/images")
public class ImageController {
    /** What an upload answers. */
    public record Uploaded(long id, String name, String url, long size) {
    }

    private final ImageStorage storage;
    private final ImageRepository images;

    public ImageController(ImageStorage storage, ImageRepository images) {
        this.storage = storage;
        this.images = images;
    }

    @PostMapping("/upload")
    @ResponseStatus(HttpStatus.CREATED)
    public Uploaded upload(@RequestParam("file") MultipartFile file) throws IOException {
        if (file.isEmpty()) {
            throw new ResponseStatusException(HttpStatus.BAD_REQUEST, "no picture in the upload");
        }
        String type = file.getContentType() != null ? file.getContentType()
                : MediaType.APPLICATION_OCTET_STREAM_VALUE;
        Image image = images.insert(storage.store(file), type, file.getSize());
        String url = ServletUriComponentsBuilder.fromCurrentContextPath()
                .path("/api/images/{id}").buildAndExpand(image.id()).toUriString();
        return new Uploaded(image.id(), image.name(), url, image.size());
    }

    @GetMapping("/{id}")
    public ResponseEntity<Resource> get(@PathVariable long id) {
        Image image = find(id);
        return ResponseEntity.ok()
                .contentType(MediaType.parseMediaType(image.contentType()))
                .body(storage.load(image.name()));
    }

    @DeleteMapping("/{id}")
    @ResponseStatus(HttpStatus.NO_CONTENT)
    public void delete(@PathVariable long id) throws IOException {
        Image image = find(id);
        storage.delete(image.name());
        images.delete(id);
    }

    private Image find(long id) {
        return images.find(id).orElseThrow(() -> new ResponseStatusException(HttpStatus.NOT_FOUND));
    }
}
