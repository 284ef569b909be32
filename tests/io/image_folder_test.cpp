// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/image_folder.hpp>

#include <doctest/doctest.h>

#include "scratch.hpp"
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace {

void write(test::scratch_folder const& folder, std::string const& name, std::string const& bytes) {
    std::filesystem::create_directories((folder / name).parent_path());
    test::write_file(folder / name, bytes);
}
std::string grey(char value) {
    return std::string("P5 1 1 255\n") + value;
}

}  // namespace

TEST_CASE("classes and images are numbered in the order of their names") {
    test::scratch_folder const folder;
    write(folder, "dog/2.pgm", grey('d'));
    write(folder, "dog/10.pgm", grey('c'));
    write(folder, "cat/x.ppm", grey('a'));
    write(folder, ".cache/junk", "x");
    write(folder, "cat/.hidden", "x");
    auto const listed = qtk::list_image_folder(folder.path());
    CHECK(listed.classes == std::vector<std::string>{"cat", "dog"});
    REQUIRE(listed.files.size() == 3);
    CHECK(listed.files[1].path.filename() == "10.pgm");
    auto const images = qtk::read_image_folder(folder.path());
    CHECK(images.labels == std::vector<std::uint16_t>{0, 1, 1});
    CHECK(images.bytes == std::vector<std::uint8_t>{'a', 'c', 'd'});
}

TEST_CASE("the first bytes say what a file is, not its name") {
    test::scratch_folder const folder;
    write(folder, "a.JPEG", grey('x'));
    CHECK(qtk::read_image(folder / "a.JPEG").bytes[0] == 'x');
    write(folder, "b.png", "GIF89a");
    CHECK_THROWS_WITH_AS((void)qtk::read_image(folder / "b.png"),
                         doctest::Contains("b.png: byte 0: expected a PGM, PPM, JPEG or PNG file"),
                         qtk::io_error);
    write(folder, "c.png", "");
    CHECK_THROWS_AS((void)qtk::read_image(folder / "c.png"), qtk::io_error);
    write(folder, "d.png", "\x89PNG\r\n\x1a\n");
    CHECK_THROWS_WITH_AS((void)qtk::read_image(folder / "d.png"), doctest::Contains("cut short"),
                         qtk::io_error);
    CHECK_THROWS_AS((void)qtk::read_image(folder / "none"), qtk::system_error);
    qtk::io_limits small;
    small.image_file_bytes = 5;
    CHECK_THROWS_AS((void)qtk::read_image(folder / "a.JPEG", small), qtk::io_error);
}

TEST_CASE("what is out of place is refused by its path") {
    {
        test::scratch_folder const folder;
        CHECK_THROWS_WITH_AS((void)qtk::list_image_folder(folder.path()),
                             doctest::Contains("found none"), qtk::io_error);
        CHECK_THROWS_AS((void)qtk::list_image_folder(folder / "none"), qtk::system_error);
        write(folder, "a/1.pgm", grey('x'));
        write(folder, "loose.pgm", grey('x'));
        CHECK_THROWS_WITH_AS((void)qtk::list_image_folder(folder.path()),
                             doctest::Contains("loose.pgm: expected folders alone"), qtk::io_error);
    }
    test::scratch_folder const folder;
    write(folder, "a/1.pgm", grey('x'));
    std::filesystem::create_directories(folder / "b");
    CHECK_THROWS_WITH_AS((void)qtk::list_image_folder(folder.path()),
                         doctest::Contains("this class has no images"), qtk::io_error);
    write(folder, "b/deeper/1.pgm", grey('x'));
    CHECK_THROWS_WITH_AS((void)qtk::list_image_folder(folder.path()),
                         doctest::Contains("deeper: expected image files alone"), qtk::io_error);
}

TEST_CASE("more classes, images or bytes than the limits are refused") {
    test::scratch_folder const folder;
    for (char const* name : {"a/1", "a/2", "b/1"}) write(folder, name, grey('x'));
    qtk::io_limits limits;
    limits.classes = 1;
    CHECK_THROWS_AS((void)qtk::list_image_folder(folder.path(), limits), qtk::io_error);
    limits = {};
    limits.images = 2;
    CHECK_THROWS_AS((void)qtk::list_image_folder(folder.path(), limits), qtk::io_error);
    limits = {};
    limits.image_set_bytes = 2;
    CHECK_THROWS_WITH_AS((void)qtk::read_image_folder(folder.path(), limits),
                         doctest::Contains("more than the limit of 2 bytes"), qtk::io_error);
    limits.image_set_bytes = 3;
    CHECK(qtk::read_image_folder(folder.path(), limits).count == 3);
}

TEST_CASE("images of several sizes are read one by one, never as a set") {
    test::scratch_folder const folder;
    write(folder, "a/1", grey('x'));
    write(folder, "a/2", "P5 2 1 255\nxy");
    CHECK(qtk::read_image(folder / "a/2").width == 2);
    CHECK_THROWS_WITH_AS((void)qtk::read_image_folder(folder.path()),
                         doctest::Contains("images of 1 x 2 x 1 cannot follow images of 1 x 1 x 1"),
                         qtk::io_error);
}
