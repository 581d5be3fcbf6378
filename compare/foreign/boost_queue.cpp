// Boost.Interprocess's message_queue, behind a few C functions. None lets an exception out; each returns whether it went well.

#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/version.hpp>
#include <cstddef>

using boost::interprocess::message_queue;

extern "C" {

unsigned boost_queue_version() { return BOOST_VERSION; }

bool boost_queue_create(const char *name, std::size_t capacity, std::size_t size) {
    try {
        message_queue queue(boost::interprocess::create_only, name, capacity, size);
        return true;
    } catch (...) {
        return false;
    }
}

void *boost_queue_open(const char *name) {
    try {
        return new message_queue(boost::interprocess::open_only, name);
    } catch (...) {
        return nullptr;
    }
}

bool boost_queue_send(void *queue, const void *message, std::size_t size) {
    try {
        static_cast<message_queue *>(queue)->send(message, size, 0);
        return true;
    } catch (...) {
        return false;
    }
}

bool boost_queue_receive(void *queue, void *message, std::size_t size) {
    try {
        message_queue::size_type received;
        unsigned priority;
        static_cast<message_queue *>(queue)->receive(message, size, received, priority);
        return received == size;
    } catch (...) {
        return false;
    }
}

void boost_queue_close(void *queue) { delete static_cast<message_queue *>(queue); }

bool boost_queue_remove(const char *name) { return message_queue::remove(name); }
}
