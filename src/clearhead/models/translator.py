"""Models that translate, by their names: recurrent with each kind of attention, transformers, all of one size.

The file of one says which it is. Deliberately not here: training them and asking them (pipeline).
"""

from dataclasses import replace

from clearhead.errors import UserError
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from clearhead.models.seq2seq import Score, Seq2Seq, matched

Translator = Seq2Seq | EncoderDecoder | Decoder
SCORES: dict[str, Score] = {
    "lstm": "none", "bahdanau": "bahdanau", "luong-dot": "luong-dot", "luong-general": "luong-general",
    "luong-concat": "luong-concat",
}  # fmt: skip


def new_translator(name: str, shape: EncoderDecoderConfig, seed: int = 0) -> Translator:
    """A new model of that name, about as large as the encoder-decoder transformer of this shape."""
    if name == "transformer":
        return EncoderDecoder(shape, seed)
    if name == "decoder-only":
        return Decoder(concatenating(shape), seed)
    return Seq2Seq(matched(SCORES[name], shape.vocab, shape.parameters, shape.dropout, shape.start), seed)


def concatenating(shape: EncoderDecoderConfig) -> DecoderConfig:
    """The decoder with as many layers of this width that reads source and target as one text; its MLPs are wider, as
    it has no cross-attention.
    """
    context = 2 * shape.max_positions
    config = DecoderConfig(
        shape.vocab, shape.d_model, shape.encoder_layers + shape.decoder_layers, shape.n_heads, shape.n_heads, 1,
        context, rope_theta=100.0 * max(1.0, context / 128), dropout=shape.dropout,
    )  # fmt: skip
    per_unit = config.n_layers * config.d_model * 3
    room = shape.parameters - config.parameters + per_unit
    if room < per_unit:
        raise UserError(f"d_ff = {shape.d_ff} is too small for a decoder of the same size; raise it")
    return replace(config, d_ff=round(room / per_unit))


def attends(model: Translator) -> bool:
    """Whether its decoder looks at a source that stands apart from what it writes."""
    return isinstance(model, EncoderDecoder) or (isinstance(model, Seq2Seq) and model.config.attention != "none")
