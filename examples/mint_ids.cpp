// IDs from several threads of a C++17 program, minted in it.
// c++ -std=c++17 mint_ids.cpp $(pkg-config --cflags --libs snowfleet-minter) -pthread && ./a.out local:///tmp/ids
#include <cstdint>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include <snowfleet/minter.h>

class Minter {
public:
    explicit Minter(const char *coordinator)
    {
        sf_minter_options options = SF_MINTER_OPTIONS;
        char detail[SF_MINTER_DETAIL_MAX];
        sf_minter *opened = nullptr;
        options.coordinator = coordinator;
        options.slots = 2;
        if (sf_minter_open(&options, &opened, detail, sizeof detail) != SF_MINTER_OK)
            throw std::runtime_error(detail);
        minter.reset(opened);
        check(sf_minter_wait(opened, 30000));
    }

    std::uint64_t next()
    {
        std::uint64_t id = 0;
        check(sf_minter_next(minter.get(), &id));
        return id;
    }

private:
    static void check(sf_minter_error error)
    {
        if (error != SF_MINTER_OK)
            throw std::runtime_error(sf_minter_error_text(error));
    }

    struct Close {
        void operator()(sf_minter *opened) const { (void)sf_minter_close(opened); }
    };
    std::unique_ptr<sf_minter, Close> minter;
};

int main(int argc, char **argv)
try {
    Minter minter(argc > 1 ? argv[1] : "local:///tmp/ids");
    std::vector<std::uint64_t> ids[2];
    std::vector<std::thread> threads;
    for (auto &mine : ids)
        threads.emplace_back([&] {
            for (int i = 0; i < 5; i++)
                mine.push_back(minter.next());
        });
    for (auto &thread : threads)
        thread.join();
    for (const auto &mine : ids)
        for (const auto id : mine)
            std::cout << id << '\n';
    return 0;
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
