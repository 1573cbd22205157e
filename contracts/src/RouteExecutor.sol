// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {IERC20} from "./interfaces.sol";
import {Tokens} from "./Tokens.sol";
import {IBalancerVault, ICurvePool, IPair, IPoolManager, ISolidlyPair, IV3Pool, IWrapped} from "./venues.sol";

/// @title Carries out a route that splits, merges and shares pools, in one call. UNAUDITED.
/// @notice Takes an exact amount of one token from its caller, makes the listed swaps, and gives the caller everything that came,
/// or reverts: at least `minimumOut` of the token bought has to arrive.
///
/// It has no owner, no settings and no storage but a lock, the same bytes at the same address on every chain. Between calls it
/// holds nothing and nobody owes it anything; what somebody sent it by mistake is neither used nor given to anybody.
///
/// Who can lose what. Tokens are pulled from the caller alone and paid to the caller alone, so a route's author risks his own money
/// and nobody else's, whatever pools, tokens or amounts he names: all calls made here are the typed ones below, none of which can
/// move a third party's tokens. The minimum is what protects him from his own route's pools.
///
/// Amounts. A hop spends either an exact amount or a share, in parts of 2**128, of what this route holds of its token then; so a
/// route planned on one state still carries through when the hops before gave a little less. For holdings below 2**128 the share
/// ceil(a * 2**128 / b) of b is exactly a: nothing is lost to rounding when nothing moved.
contract RouteExecutor {
    using Tokens for address;

    error DeadlinePassed(uint256 deadline);
    error Busy();
    error BadTokens();
    error BadHop(uint256 hop);
    error AmountUnavailable(uint256 hop, uint256 wanted, uint256 held);
    error ReceivedBelowMinimum(uint256 received, uint256 minimum);
    error NotTheVenue(address sender);
    error AllowanceRemains(address token, address spender);
    error UnexpectedEther(address sender);

    /// @notice One swap. `tokenIn` and `tokenOut` are places in the route's list of tokens. `venue`: the pair or pool itself (V2,
    /// SOLIDLY, CURVE), the factory whose pool it is (V3), the pool manager (V4), the vault (BALANCER). `detail`: the fee in
    /// millionths (V2, V3), fee << 32 | tickSpacing << 8 | native (V4: 1 where the input, 2 where the output is ether and the
    /// route's token its wrapper), the pool's id (BALANCER), i << 8 | j (CURVE), 0 (SOLIDLY).
    struct Hop {
        uint8 kind;
        uint8 tokenIn;
        uint8 tokenOut;
        bool share;
        uint256 amount;
        address venue;
        bytes32 detail;
    }

    uint8 public constant V2 = 0;
    uint8 public constant V3 = 1;
    uint8 public constant V4 = 2;
    uint8 public constant BALANCER = 3;
    uint8 public constant CURVE = 4;
    uint8 public constant SOLIDLY = 5;

    uint256 private constant ALL = 1 << 128;
    uint256 private constant MILLION = 1_000_000;
    uint256 private constant MOST_TOKENS = 32;
    uint160 private constant LOWEST = 4295128740; // TickMath.MIN_SQRT_RATIO + 1
    uint160 private constant HIGHEST = 1461446703485210103287273052203988822378723970341; // TickMath.MAX_SQRT_RATIO - 1
    bytes32 private constant V3_INIT_CODE = 0xe34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54;

    uint256 private constant IDLE = 1;
    uint256 private constant RUNNING = 2;
    uint256 private constant WITH_ETHER = 3;
    uint256 private status = IDLE;
    /// What may call back now: the hash of which function, of who, and of what it is owed. IDLE between hops.
    bytes32 private pending = bytes32(IDLE);

    /// @dev Ether passes through inside a V4 hop only.
    receive() external payable {
        if (status != WITH_ETHER) revert UnexpectedEther(msg.sender);
    }

    /// @notice Sells `amountIn` of `tokens[0]` for at least `minimumOut` of `tokens[1]`. The caller has allowed this contract
    /// `amountIn`; `tokens` names every token of the route once. Returns what came of `tokens[1]`. What is left of any token on
    /// the list goes back to the caller too.
    function route(
        address[] calldata tokens,
        uint256 amountIn,
        uint256 minimumOut,
        uint256 deadline,
        Hop[] calldata hops
    ) external returns (uint256 received) {
        if (status != IDLE) revert Busy();
        status = RUNNING;
        if (block.timestamp > deadline) revert DeadlinePassed(deadline);
        uint256[] memory before = _before(tokens);
        tokens[0].pull(msg.sender, amountIn);
        uint256 came = tokens[0].held() - before[0];
        if (amountIn == 0 || came != amountIn) revert AmountUnavailable(0, amountIn, came);
        for (uint256 i; i < hops.length; i++) {
            uint256 amount = _amount(i, hops[i], tokens, before);
            _swap(i, hops[i], tokens[hops[i].tokenIn], tokens[hops[i].tokenOut], amount);
        }
        received = _pay(tokens, before);
        if (received < minimumOut) revert ReceivedBelowMinimum(received, minimumOut);
        status = IDLE;
    }

    // ------------------------------------------------------------------ the two ends
    /// @dev What lies here already. Every token once, or one balance would be counted twice.
    function _before(address[] calldata tokens) private view returns (uint256[] memory before) {
        uint256 n = tokens.length;
        if (n < 2 || n > MOST_TOKENS) revert BadTokens();
        before = new uint256[](n);
        for (uint256 i; i < n; i++) {
            for (uint256 j; j < i; j++) {
                if (tokens[i] == tokens[j]) revert BadTokens();
            }
            before[i] = tokens[i].held();
        }
    }

    /// @dev Counted where it arrives: a token that takes a fee counts for what the caller really has more of.
    function _pay(address[] calldata tokens, uint256[] memory before) private returns (uint256 received) {
        for (uint256 i; i < tokens.length; i++) {
            uint256 holds = tokens[i].held();
            if (holds < before[i]) revert AmountUnavailable(i, before[i], holds);
            if (i != 1) {
                tokens[i].send(msg.sender, holds - before[i]);
                continue;
            }
            uint256 had = IERC20(tokens[1]).balanceOf(msg.sender);
            tokens[1].send(msg.sender, holds - before[1]);
            received = IERC20(tokens[1]).balanceOf(msg.sender) - had;
        }
    }

    // ------------------------------------------------------------------ one hop
    /// @dev What the hop spends: never more than this route's own holding, and no more than a pool can count.
    function _amount(uint256 i, Hop calldata h, address[] calldata tokens, uint256[] memory before)
        private
        view
        returns (uint256 amount)
    {
        if (h.tokenIn >= tokens.length || h.tokenOut >= tokens.length || h.tokenIn == h.tokenOut) revert BadHop(i);
        uint256 holds = tokens[h.tokenIn].held() - before[h.tokenIn];
        amount = h.amount;
        if (h.share) {
            if (amount > ALL || holds >= ALL) revert BadHop(i);
            amount = (holds * amount) / ALL;
        }
        if (amount == 0 || amount > holds || amount > uint256(uint128(type(int128).max))) {
            revert AmountUnavailable(i, amount, holds);
        }
    }

    function _swap(uint256 i, Hop calldata h, address sold, address bought, uint256 amount) private {
        if (h.kind == V2) _v2(h, sold, bought, amount);
        else if (h.kind == V3) _v3(h, sold, bought, amount);
        else if (h.kind == V4) _v4(h, sold, bought, amount);
        else if (h.kind == BALANCER) _balancer(h, sold, bought, amount);
        else if (h.kind == CURVE) _curve(i, h, sold, bought, amount);
        else if (h.kind == SOLIDLY) _solidly(h, sold, bought, amount);
        else revert BadHop(i);
    }

    /// @dev UniswapV2Library.getAmountOut with the fork's own fee.
    function _v2(Hop calldata h, address sold, address bought, uint256 amount) private {
        (uint112 r0, uint112 r1,) = IPair(h.venue).getReserves();
        (uint256 rIn, uint256 rOut) = sold < bought ? (r0, r1) : (r1, r0);
        uint256 kept = amount * (MILLION - uint256(h.detail));
        sold.send(h.venue, amount);
        _take(h.venue, sold < bought, kept * rOut / (rIn * MILLION + kept));
    }

    function _solidly(Hop calldata h, address sold, address bought, uint256 amount) private {
        uint256 out = ISolidlyPair(h.venue).getAmountOut(amount, sold);
        sold.send(h.venue, amount);
        _take(h.venue, sold < bought, out);
    }

    function _take(address pair, bool zeroForOne, uint256 out) private {
        (uint256 out0, uint256 out1) = zeroForOne ? (uint256(0), out) : (out, uint256(0));
        IPair(pair).swap(out0, out1, address(this), "");
    }

    /// @dev The pool's address follows from factory, tokens and fee (EIP-1014), so that nothing else can call back.
    function _v3(Hop calldata h, address sold, address bought, uint256 amount) private {
        bool zeroForOne = sold < bought;
        (address token0, address token1) = zeroForOne ? (sold, bought) : (bought, sold);
        bytes32 salt = keccak256(abi.encode(token0, token1, uint24(uint256(h.detail))));
        address pool = address(uint160(uint256(keccak256(abi.encodePacked(hex"ff", h.venue, salt, V3_INIT_CODE)))));
        bytes memory owed = abi.encode(sold, amount);
        pending = keccak256(abi.encode(this.uniswapV3SwapCallback.selector, pool, owed));
        IV3Pool(pool).swap(address(this), zeroForOne, int256(amount), zeroForOne ? LOWEST : HIGHEST, owed);
        pending = bytes32(IDLE);
    }

    /// @notice The V3 pool of the hop under way asks for its payment, once, and never for more than the hop's amount.
    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external {
        _called(data);
        (address sold, uint256 amount) = abi.decode(data, (address, uint256));
        int256 due = amount0Delta > 0 ? amount0Delta : amount1Delta;
        if (due <= 0 || uint256(due) > amount) revert NotTheVenue(msg.sender);
        sold.send(msg.sender, uint256(due));
    }

    function _v4(Hop calldata h, address sold, address bought, uint256 amount) private {
        uint256 ether_ = address(this).balance;
        bytes memory data = abi.encode(h.detail, sold, bought, amount);
        pending = keccak256(abi.encode(this.unlockCallback.selector, h.venue, data));
        status = WITH_ETHER;
        if (uint256(h.detail) & 1 != 0) IWrapped(sold).withdraw(amount);
        IPoolManager(h.venue).unlock(data);
        pending = bytes32(IDLE);
        status = RUNNING;
        // What came as ether is wrapped, what a price limit left of ether sold is wrapped again.
        uint256 more = address(this).balance - ether_;
        if (more != 0) IWrapped(uint256(h.detail) & 2 != 0 ? bought : sold).deposit{value: more}();
    }

    /// @notice The pool manager of the hop under way lets this contract swap, settle and take, once.
    function unlockCallback(bytes calldata data) external returns (bytes memory) {
        _called(data);
        (bytes32 detail, address sold, address bought, uint256 amount) =
            abi.decode(data, (bytes32, address, address, uint256));
        address paid = uint256(detail) & 1 != 0 ? address(0) : sold;
        address got = uint256(detail) & 2 != 0 ? address(0) : bought;
        bool zeroForOne = paid < got;
        IPoolManager manager = IPoolManager(msg.sender);
        int256 delta = manager.swap(
            IPoolManager.PoolKey({
                currency0: zeroForOne ? paid : got,
                currency1: zeroForOne ? got : paid,
                fee: uint24(uint256(detail) >> 32),
                tickSpacing: int24(uint24(uint256(detail) >> 8)),
                hooks: address(0)
            }),
            IPoolManager.SwapParams(zeroForOne, -int256(amount), zeroForOne ? LOWEST : HIGHEST),
            ""
        );
        (int128 delta0, int128 delta1) = (int128(delta >> 128), int128(delta));
        (int128 owed, int128 due) = zeroForOne ? (delta0, delta1) : (delta1, delta0);
        if (owed < 0) {
            uint256 pays = uint256(uint128(-owed));
            if (pays > amount) revert NotTheVenue(msg.sender);
            manager.sync(paid);
            if (paid == address(0)) {
                manager.settle{value: pays}();
            } else {
                paid.send(msg.sender, pays);
                manager.settle();
            }
        }
        if (due > 0) manager.take(got, address(this), uint256(uint128(due)));
        return "";
    }

    function _balancer(Hop calldata h, address sold, address bought, uint256 amount) private {
        sold.approve(h.venue, amount);
        IBalancerVault(h.venue).swap(
            IBalancerVault.SingleSwap(h.detail, 0, sold, bought, amount, ""),
            IBalancerVault.FundManagement(address(this), false, payable(address(this)), false),
            0,
            block.timestamp
        );
        _noAllowance(sold, h.venue);
    }

    function _curve(uint256 at, Hop calldata h, address sold, address bought, uint256 amount) private {
        (uint256 i, uint256 j) = (uint256(h.detail) >> 8, uint256(h.detail) & 0xff);
        if (i > 0xff || ICurvePool(h.venue).coins(i) != sold || ICurvePool(h.venue).coins(j) != bought) revert BadHop(at);
        sold.approve(h.venue, amount);
        ICurvePool(h.venue).exchange(int128(uint128(i)), int128(uint128(j)), amount, 0);
        _noAllowance(sold, h.venue);
    }

    // ------------------------------------------------------------------ callbacks and allowances
    /// @dev The function is part of it: what one callback is owed is never read as what the other is.
    function _called(bytes calldata data) private {
        if (keccak256(abi.encode(msg.sig, msg.sender, data)) != pending) revert NotTheVenue(msg.sender);
        pending = bytes32(IDLE);
    }

    function _noAllowance(address token, address spender) private {
        if (IERC20(token).allowance(address(this), spender) != 0) token.approve(spender, 0);
        if (IERC20(token).allowance(address(this), spender) != 0) revert AllowanceRemains(token, spender);
    }
}
