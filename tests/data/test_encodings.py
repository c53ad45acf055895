"""Text files of any encoding are read right, or refused with the encoding that they likely have."""

import gzip
import subprocess

import pytest

from decant.data.files import lines, read_file
from decant.errors import DecantError
from tests.support.set_files import zstd

TEXTS = {
    "gbk": "怎样重置路由器？按住重置键十秒钟。路由器有四根天线，保修期为两年。",
    "big5": "怎樣重置路由器？按住重置鍵十秒鐘。路由器有四根天線，保固期為兩年。",
    "shift_jis": "ルーターをリセットするにはどうすればよいですか。リセットボタンを十秒間押してください。",
    "euc_jp": "ルーターをリセットするにはどうすればよいですか。リセットボタンを十秒間押してください。",
    "euc_kr": "공유기를 어떻게 초기화합니까? 초기화 버튼을 십 초 동안 누르십시오. 보증 기간은 이 년입니다.",
    "cp1252": "Où est la boîte à fusibles ? Elle est derrière la porte de l’entrée, près du café.",
    "cp1251": "Как сбросить маршрутизатор? Нажмите кнопку сброса и удерживайте её десять секунд.",
    "cp1250": "Příliš žluťoučký kůň úpěl ďábelské ódy. Jak resetuji směrovač?",
}
LATIN_1 = "Wie setze ich den Router zurück? Drücken Sie die Taste für zehn Sekunden. Äpfel, Öl und große Straßen."
FILLER = '{"text": "plain"}\n'


def problem_and_remedy(path, encoding=None):
    with pytest.raises(DecantError) as caught:
        list(read_file(path, encoding))
    return caught.value.problem, caught.value.remedy


@pytest.mark.parametrize("times", [1, 4000])  # a line, and more than is looked at
@pytest.mark.parametrize("encoding", TEXTS)
def test_a_file_that_is_not_utf_8_is_refused_with_its_line_and_its_likely_encoding(tmp_path, encoding, times):
    path = tmp_path / "a.jsonl"
    line = f'{{"text": "{TEXTS[encoding]}"}}\n'
    path.write_bytes((FILLER * 40_000 + line * times).encode(encoding))
    problem, remedy = problem_and_remedy(path)
    assert problem == f"{path}, line 40001: not UTF-8; the encoding is likely {encoding}"
    assert f"set `encoding: {encoding}`" in remedy
    assert list(read_file(path, encoding))[-1] == (f"{path}, line {40_000 + times}", {"text": TEXTS[encoding]})


@pytest.mark.parametrize("name", ["a.csv", "with blanks.csv", "a.csv.gz"])
def test_the_command_in_the_message_converts_the_file(tmp_path, name):
    content = f"text\n{TEXTS['gbk']}\n".encode("gbk")
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    command = problem_and_remedy(tmp_path / name)[1].partition("convert the file: ")[2]
    subprocess.run(command, shell=True, check=True)
    written = name.replace(".csv", ".utf8.csv").removesuffix(".gz")
    assert [record for _, record in read_file(tmp_path / written)] == [{"text": TEXTS["gbk"]}]


def test_latin_1_is_taken_for_its_superset_cp1252(tmp_path):
    (tmp_path / "a.txt").write_text(f"plain\n{LATIN_1}\n", encoding="latin-1")
    with pytest.raises(DecantError, match="line 2: not UTF-8; the encoding is likely cp1252"):
        list(lines(tmp_path / "a.txt"))
    assert list(lines(tmp_path / "a.txt", "cp1252"))[1] == (2, f"{LATIN_1}\n")
    assert list(lines(tmp_path / "a.txt", "latin-1"))[1] == (2, f"{LATIN_1}\n")


def test_a_foreign_byte_within_utf_8_makes_no_other_encoding_likely(tmp_path):
    line = f'{{"text": "{TEXTS["gbk"]}"}}\n'.encode()
    (tmp_path / "a.jsonl").write_bytes(line * 2 + b'{"text": "caf\xe9"}\n' + line * 2)
    problem, remedy = problem_and_remedy(tmp_path / "a.jsonl")
    assert problem.endswith("line 3: not UTF-8; the text around it is UTF-8")
    assert remedy == "correct the bytes of this line"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name, pack", [("a.csv", bytes), ("a.csv.gz", gzip.compress), ("a.csv.zst", zstd)])
def test_a_byte_order_mark_tells_the_encoding(tmp_path, encoding, name, pack):
    (tmp_path / name).write_bytes(pack(f"text;n\n{TEXTS['gbk']};一\n".encode(encoding)))
    expected = [{"text": TEXTS["gbk"], "n": "一"}]
    assert [record for _, record in read_file(tmp_path / name)] == expected
    assert [record for _, record in read_file(tmp_path / name, encoding)] == expected


@pytest.mark.parametrize("mark, encoding", [("\ufeff", "utf-16-be"), ("\ufeff", "utf-16-le"), ("", "utf-16-be")])
def test_utf_16_of_either_order_is_read(tmp_path, mark, encoding):
    (tmp_path / "a.jsonl").write_text(mark + '{"text": "好\u2028\u0a0a"}\n', encoding=encoding)
    assert [record for _, record in read_file(tmp_path / "a.jsonl", encoding)] == [{"text": "好\u2028\u0a0a"}]


@pytest.mark.parametrize("line", [1, 30_000])
def test_a_line_that_is_not_of_the_encoding_given_is_named(tmp_path, line):
    text = TEXTS["gbk"].encode("gbk") + b"\n"
    (tmp_path / "a.txt").write_bytes(text * (line - 1) + b"\xff\xff\n" + text)
    with pytest.raises(DecantError, match=f"line {line}: not gbk"):
        list(lines(tmp_path / "a.txt", "gbk"))


@pytest.mark.parametrize(
    "written, read, fault",
    [
        ("utf-16", "gbk", "its first bytes are the mark of utf-16-le"),
        ("utf-8-sig", "latin-1", "its first bytes are the mark of utf-8"),
        ("utf-8", "latin-1", "its bytes are valid UTF-8"),
        ("utf-8", "gbk", "its bytes are valid UTF-8"),
        ("utf-16-le", "utf-16-be", "zero bytes are not where"),
        ("utf-16-le", None, "likely utf-16-le"),
        ("utf-16-be", "cp1252", "likely utf-16-be"),
        ("gbk", "utf-8", "the encoding is likely gbk"),
        ("gbk", "utf-16", "zero bytes are not where"),
    ],
)
def test_a_wrong_encoding_is_refused_where_it_can_be_noticed(tmp_path, written, read, fault):
    (tmp_path / "a.csv").write_text("text\n" + f"{TEXTS['gbk']}\n" * 9, encoding=written)
    problem, remedy = problem_and_remedy(tmp_path / "a.csv", read)
    assert fault in problem
    assert "encoding" in remedy


def test_the_control_characters_that_latin_1_makes_of_cp1252_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text(f"text\nplain\n{TEXTS['cp1252']}\n", encoding="cp1252")
    problem, remedy = problem_and_remedy(tmp_path / "a.csv", "latin-1")
    assert "line 3: not iso8859-1; the encoding is likely cp1252" in problem
    assert "`encoding: cp1252`" in remedy


@pytest.mark.parametrize("encoding", ["nonsense", "base64", "rot13", "idna", "undefined", "a\0b", ""])
def test_an_encoding_that_does_not_exist_is_refused_before_the_file_is_read(tmp_path, encoding):
    (tmp_path / "a.csv").write_text("text\n")
    with pytest.raises(DecantError, match="does not know as an encoding of texts") as caught:
        read_file(tmp_path / "a.csv", encoding)
    assert "gbk" in caught.value.remedy
