/* An adapter for imgduel in C: a reader of raw images, to begin with. Put the calls of your library in place of read_image.
 *
 * The requests that it offers have flat JSON with the keys in a fixed order, and names without characters that JSON escapes, so that a search for the keys is
 * enough; a library of yours may come with a parser. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 1 << 16, SECTOR_BYTES = 512 };

/* Copies the text behind "key": " into value; the last one, because a file stands last. */
static int text_of(const char *line, const char *key, char *value, size_t size)
{
    char wanted[64];
    const char *found = NULL, *next = line;
    snprintf(wanted, sizeof wanted, "\"%s\":\"", key);
    while ((next = strstr(next, wanted)) != NULL) {
        next += strlen(wanted);
        found = next;
    }
    size_t length = found ? strcspn(found, "\"") : size;
    if (length >= size)
        return 0;
    memcpy(value, found, length);
    value[length] = '\0';
    return 1;
}

/* Reads what a guest sees, in whole sectors. Returns NULL if the file cannot be read. */
static unsigned char *read_image(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    unsigned char *data = NULL;
    if (fseek(file, 0, SEEK_END) == 0) {
        size_t length = (size_t)ftell(file);
        *size = (length + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
        data = calloc(*size ? *size : 1, 1);
        rewind(file);
        if (data != NULL && fread(data, 1, length, file) != length) {
            free(data);
            data = NULL;
        }
    }
    fclose(file);
    return data;
}

static void answer(const char *line)
{
    char directory[4096], name[256], request[64], format[32], path[4400], flat[4500];
    if (!text_of(line, "directory", directory, sizeof directory) || !text_of(line, "path", name, sizeof name) ||
        !text_of(line, "request", request, sizeof request) || !text_of(line, "format", format, sizeof format)) {
        puts("{\"refused\": \"it does not understand the request\"}");
        return;
    }
    snprintf(path, sizeof path, "%s/%s", directory, name);
    snprintf(flat, sizeof flat, "%s.flat", path);
    size_t size = 0;
    unsigned char *data = read_image(path, &size);
    if (data == NULL) {
        puts("{\"refused\": \"the file cannot be read\"}");
        return;
    }
    if (strcmp(request, "info") == 0) {
        printf("{\"json\": {\"virtual-size\": %zu, \"format\": \"%s\"}}\n", size, format);
    } else {
        FILE *raw = fopen(flat, "wb");
        int is_written = raw != NULL && fwrite(data, 1, size, raw) == size;
        if (raw != NULL && fclose(raw) == 0 && is_written)
            printf("{\"raw\": \"%s.flat\"}\n", name);
        else
            puts("{\"refused\": \"the raw file cannot be written\"}");
    }
    free(data);
}

int main(void)
{
    static char line[LINE_MAX_BYTES];
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strstr(line, "\"hello\"") != NULL)
            puts("{\"protocol\": 2, \"name\": \"mylibrary\", \"version\": \"1.0\", \"can\": {\"info\": [\"raw\"], \"contents\": [\"raw\"]}}");
        else
            answer(line);
        fflush(stdout);
    }
    return 0;
}
