"""Small Hugging Face text models in a folder: random weights, tokenizers of every kind, padding of any number."""

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "A 12 mm nodule; no effusion (left), 3.5 × 2.1 cm!",
    "It's the patient's LEFT lung - don't",
    "Größe naïve œdème Опухоль справа 胸部",
    "word, and more: of the spaces and lines",
    "a nodule, no effusion is seen unchanged river beside a field",
] * 3
SIZE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def bert(folder, padding=0):
    """WordPiece in lower case without accents; the marks of BERT, padding at any place among them."""
    marks = ["[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    marks.insert(padding, "[PAD]")
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=150, special_tokens=marks, show_progress=False)
    )
    made.post_processor = processors.BertProcessing(
        ("[SEP]", made.token_to_id("[SEP]")), ("[CLS]", made.token_to_id("[CLS]"))
    )
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return saved(folder, made, padding, names)


def roberta(folder):
    """Bytes as BPE, case kept, padding 1 and start 0."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = {"pad": "<pad>", "unk": "<unk>", "cls": "<s>", "sep": "</s>", "bos": "<s>", "eos": "</s>"}
    return saved(folder, made, 1, names)


def siglip(folder):
    """Pieces of sentences as T5 has them; padding is the end of a text (1), as the files of SigLIP say."""
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    made.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=150, special_tokens=special, unk_token="<unk>", show_progress=False)
    )
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return saved(folder, made, 1, {"pad": "</s>", "eos": "</s>", "unk": "<unk>"})


def openai(folder):
    """OpenAI's CLIP as transformers has it: token 0 is a word, and padding is the end of a text."""
    made = Tokenizer(models.BPE(unk_token="<end>"))
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    )
    made.add_special_tokens(["<start>", "<end>"])
    start, end = (made.token_to_id(name) for name in ("<start>", "<end>"))
    made.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", start), ("<end>", end)]
    )
    return saved(folder, made, end, {"pad": "<end>", "bos": "<start>", "eos": "<end>", "unk": "<end>"})


def in_python(folder):
    """A tokenizer that is Python code of transformers, which has no file."""
    save_model(folder, 400, 0)
    transformers.ByT5Tokenizer().save_pretrained(folder)
    return folder


def saved(folder, made, padding, names):
    assert made.token_to_id(names["pad"]) == padding
    save_model(folder, made.get_vocab_size() + 1, padding)
    marks = {f"{name}_token": token for name, token in names.items()}
    transformers.PreTrainedTokenizerFast(tokenizer_object=made, **marks).save_pretrained(folder)
    return folder


def save_model(folder, size, padding):
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=size, max_position_embeddings=40, pad_token_id=padding, **SIZE)
    transformers.BertModel(config).save_pretrained(folder)
