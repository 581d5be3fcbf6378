/* The bounded buffer of the classic exercise: three semaphores in shared memory. `room` counts free slots, `tasks` counts
 * filled ones, `mutex` guards the two positions. A process that is killed between its two waits and posts leaves it
 * stuck; that is the price that is compared with. */

#include <errno.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buffer {
    sem_t room;
    sem_t tasks;
    sem_t mutex;
    uint64_t capacity;
    uint64_t size;
    uint64_t in;
    uint64_t out;
    unsigned char slots[];
};

size_t semaphores_length(uint64_t capacity, uint64_t size) {
    return sizeof(struct buffer) + capacity * size;
}

int semaphores_init(struct buffer *buffer, uint64_t capacity, uint64_t size) {
    buffer->capacity = capacity;
    buffer->size = size;
    buffer->in = 0;
    buffer->out = 0;
    return sem_init(&buffer->room, 1, (unsigned)capacity) | sem_init(&buffer->tasks, 1, 0) | sem_init(&buffer->mutex, 1, 1);
}

static void take(sem_t *semaphore) {
    while (sem_wait(semaphore) != 0 && errno == EINTR) {
    }
}

void semaphores_put(struct buffer *buffer, const void *task) {
    take(&buffer->room);
    take(&buffer->mutex);
    memcpy(buffer->slots + buffer->in * buffer->size, task, buffer->size);
    buffer->in = (buffer->in + 1) % buffer->capacity;
    sem_post(&buffer->mutex);
    sem_post(&buffer->tasks);
}

void semaphores_take(struct buffer *buffer, void *task) {
    take(&buffer->tasks);
    take(&buffer->mutex);
    memcpy(task, buffer->slots + buffer->out * buffer->size, buffer->size);
    buffer->out = (buffer->out + 1) % buffer->capacity;
    sem_post(&buffer->mutex);
    sem_post(&buffer->room);
}
